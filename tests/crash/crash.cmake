# Crash tests: every call fails once, every call is the last one once, and the
# power fails.  Included by tests/CMakeLists.txt.

set(crash_dir ${CMAKE_CURRENT_LIST_DIR})
add_library(crash_lab STATIC ${crash_dir}/crash_lab.c
            ${crash_dir}/crash_calls.c)
target_link_libraries(crash_lab PUBLIC drover_store drover_flags)

# Looks for what the C library does not declare, and defines what it has.
set(crash_shim_flags -Wno-pedantic -Wno-conversion -Wno-sign-conversion
    -U_FORTIFY_SOURCE -fno-builtin)
function(drover_crash_shim target)
  target_sources(${target} PRIVATE ${crash_dir}/crash_shim.c)
  set_source_files_properties(${crash_dir}/crash_shim.c PROPERTIES
    COMPILE_OPTIONS "${crash_shim_flags}")
  # A sanitizer has an allocator of its own.
  if(DROVER_SANITIZE)
    target_compile_definitions(${target} PRIVATE CRASH_NO_ALLOC)
  endif()
  target_link_libraries(${target} PRIVATE ${CMAKE_DL_LIBS})
endfunction()

add_executable(crash_sweep_store ${crash_dir}/sweep_store.c)
drover_crash_shim(crash_sweep_store)
target_link_libraries(crash_sweep_store PRIVATE crash_lab drover_agent
                      drover_replica)
add_test(NAME crash_sweep_store COMMAND crash_sweep_store)
set_tests_properties(crash_sweep_store PROPERTIES TIMEOUT 600 LABELS crash)

# A sanitizer's run-time must come before what is preloaded.
if(NOT DROVER_SANITIZE)
  add_library(crash_shim MODULE)
  drover_crash_shim(crash_shim)
  target_link_libraries(crash_shim PRIVATE drover_flags)
  target_compile_definitions(crash_shim PRIVATE CRASH_PRELOADED)

  add_library(crash_play STATIC ${crash_dir}/crash_agent.c
              ${crash_dir}/crash_script.c)
  target_link_libraries(crash_play PUBLIC crash_lab drover_sync)

  add_executable(crash_sweep_replica ${crash_dir}/sweep_replica.c)
  target_link_libraries(crash_sweep_replica PRIVATE crash_play)
  add_dependencies(crash_sweep_replica drover-replica crash_shim)
  # The long form has no --each, see the top of sweep_replica.c.
  add_test(NAME crash_sweep_replica
    COMMAND crash_sweep_replica $<TARGET_FILE:drover-replica>
            $<TARGET_FILE:crash_shim> --jobs 2 --each 1)
  set_tests_properties(crash_sweep_replica PROPERTIES TIMEOUT 900 LABELS crash)

  add_executable(crash_sweep_kv ${crash_dir}/sweep_kv.c)
  target_link_libraries(crash_sweep_kv PRIVATE crash_lab)
  add_dependencies(crash_sweep_kv drover-kv crash_shim)
  add_test(NAME crash_sweep_kv
    COMMAND crash_sweep_kv $<TARGET_FILE:drover-kv> $<TARGET_FILE:crash_shim>)
  set_tests_properties(crash_sweep_kv PROPERTIES TIMEOUT 600 LABELS crash)

  # Needs root, loop devices and the file systems; says so where they are
  # missing.  The long form: --depth 3, and --cuts without --each.
  add_executable(crash_power ${crash_dir}/power.c ${crash_dir}/crash_fs.c)
  drover_crash_shim(crash_power)
  target_link_libraries(crash_power PRIVATE crash_play)
  add_dependencies(crash_power drover-replica drover-kv crash_shim)
  add_executable(crash_writeback ${crash_dir}/writeback.c
                 ${crash_dir}/crash_fs.c)
  target_link_libraries(crash_writeback PRIVATE crash_play)
  add_dependencies(crash_writeback drover-replica)
  function(drover_power name)
    foreach(fs IN ITEMS ext4 xfs)
      add_test(NAME crash_power_${name}_${fs} COMMAND crash_power ${fs} ${ARGN})
      set_tests_properties(crash_power_${name}_${fs} PROPERTIES TIMEOUT 600
        SKIP_RETURN_CODE 77 LABELS crash)
    endforeach()
  endfunction()
  set(replica replica $<TARGET_FILE:drover-replica> $<TARGET_FILE:crash_shim>)
  drover_power(replica ${replica} --depth 1)
  drover_power(relaxed relaxed $<TARGET_FILE:drover-replica>
               $<TARGET_FILE:crash_shim>)
  drover_power(library library --depth 2)
  drover_power(kv kv $<TARGET_FILE:drover-kv> --depth 1)
  drover_power(cuts ${replica} --cuts --each 1)
  foreach(fs IN ITEMS ext4 xfs)
    add_test(NAME crash_writeback_${fs}
      COMMAND crash_writeback ${fs} $<TARGET_FILE:drover-replica>)
    set_tests_properties(crash_writeback_${fs} PROPERTIES TIMEOUT 300
      SKIP_RETURN_CODE 77 LABELS crash)
  endforeach()
  add_executable(crash_primary_power ${crash_dir}/primary_power.c
                 ${crash_dir}/crash_fs.c)
  target_link_libraries(crash_primary_power PRIVATE crash_play)
  add_dependencies(crash_primary_power drover drover-replica)
  foreach(fs IN ITEMS ext4 xfs)
    add_test(NAME crash_power_primary_${fs}
      COMMAND crash_primary_power ${fs} $<TARGET_FILE:drover>
              $<TARGET_FILE:drover-replica>)
    set_tests_properties(crash_power_primary_${fs} PROPERTIES TIMEOUT 300
      SKIP_RETURN_CODE 77 LABELS crash)
  endforeach()
  # The test finds what it is there to find.
  drover_power(caught_replica_files ${replica} --swallow 1)
  drover_power(caught_replica_directories ${replica} --swallow 2)
  drover_power(caught_library_files library --swallow 1)
  drover_power(caught_library_directories library --swallow 2)
endif()
