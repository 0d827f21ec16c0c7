# Benchmarks: built on demand only (cmake --build BUILD --target bench_tool),
# run by tests/bench/run.sh.
add_executable(bench_tool EXCLUDE_FROM_ALL
  ${CMAKE_CURRENT_LIST_DIR}/bench_tool.c
  ${CMAKE_CURRENT_LIST_DIR}/bench_data.c
  ${CMAKE_CURRENT_LIST_DIR}/bench_kv.c
  ${CMAKE_CURRENT_LIST_DIR}/bench_limits.c
  ${CMAKE_CURRENT_LIST_DIR}/bench_live.c
  ${CMAKE_CURRENT_LIST_DIR}/bench_ssh.c
  ${CMAKE_CURRENT_LIST_DIR}/bench_write.c)
target_link_libraries(bench_tool PRIVATE drover_store drover_flags
                      PkgConfig::SSH2 Threads::Threads)

# The index alone, speed and memory, by hand: cmake --build BUILD --target bench_index
add_executable(bench_index EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/bench_index.c)
target_link_libraries(bench_index PRIVATE drover_sync drover_flags)
