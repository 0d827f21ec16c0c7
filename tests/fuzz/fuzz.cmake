# Fuzz targets: every decoder of bytes that somebody else wrote.  Included by
# tests/CMakeLists.txt.
#
# In any build the inputs of corpus/NAME are replayed, as tests fuzz_NAME.  To
# look for new ones (clang only):
#     cmake -S . -B build/fuzz -DCMAKE_C_COMPILER=clang -DDROVER_FUZZ=ON
#     cmake --build build/fuzz && sh tests/fuzz/run.sh build/fuzz 60
set(fuzz_dir ${CMAKE_CURRENT_LIST_DIR})

# Everything that tests/fuzz/run.sh needs.
add_custom_target(fuzz_targets)

# drover_fuzz(NAME LIBRARY...)
function(drover_fuzz name)
  add_executable(fuzz_${name} ${fuzz_dir}/fuzz_${name}.c)
  add_dependencies(fuzz_targets fuzz_${name})
  target_link_libraries(fuzz_${name} PRIVATE ${ARGN} drover_flags)
  if(DROVER_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(fuzz_${name} PRIVATE ${fuzz_dir}/fuzz_main.c)
    add_test(NAME fuzz_${name} COMMAND fuzz_${name} ${fuzz_dir}/corpus/${name})
    set_tests_properties(fuzz_${name} PROPERTIES TIMEOUT 120 LABELS fuzz)
  endif()
endfunction()

drover_fuzz(wire drover_sync_support)
drover_fuzz(receiver drover_sync_support)
drover_fuzz(primary drover_sync_support PkgConfig::CMOCKA)
drover_fuzz(config drover_agent drover_replica)
drover_fuzz(ssh drover_link PkgConfig::CRYPTO)
drover_fuzz(disk drover_agent drover_replica)
drover_fuzz(text drover_agent)
target_link_options(fuzz_text PRIVATE -Wl,--wrap=fopen)
drover_fuzz(control drover_agent)

# Good inputs to start from: fuzz_seeds FOLDER.
add_executable(fuzz_seeds EXCLUDE_FROM_ALL ${fuzz_dir}/fuzz_seeds.c)
target_link_libraries(fuzz_seeds PRIVATE drover_sync_support drover_flags)
