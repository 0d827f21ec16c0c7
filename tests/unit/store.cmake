# Tests of store/.  Included by tests/CMakeLists.txt.

function(drover_store_test name)
  add_executable(unit_store_${name} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/test_${name}.c)
  target_link_libraries(unit_store_${name} PRIVATE drover_store PkgConfig::CMOCKA
                        Threads::Threads drover_flags)
  add_test(NAME unit_store_${name} COMMAND unit_store_${name})
  set_tests_properties(unit_store_${name} PROPERTIES TIMEOUT 120)
endfunction()

foreach(module IN ITEMS buf clock copy db digest drover err fresh_age hash hex install
        json_out lock name own_dir placeholder quote rand read share startemp suspects sys temps units value
        walk passed)
  drover_store_test(${module})
endforeach()

# Pairs of inputs that a hash without a secret takes for one.
add_library(drover_xxh3_pair STATIC
  ${CMAKE_CURRENT_LIST_DIR}/../support/xxh3_pair.c)
target_link_libraries(drover_xxh3_pair PUBLIC drover_flags PkgConfig::XXHASH)
foreach(module IN ITEMS digest hash)
  target_link_libraries(unit_store_${module} PRIVATE drover_xxh3_pair)
endforeach()

# Each call is interrupted, and moves a few bytes.
target_link_options(unit_store_sys PRIVATE -Wl,--wrap=read -Wl,--wrap=pread
                    -Wl,--wrap=write -Wl,--wrap=pwrite -Wl,--wrap=fsync)

# The test comes between an open and its lock.
target_link_options(unit_store_value PRIVATE -Wl,--wrap=flock)
target_link_options(unit_store_placeholder PRIVATE -Wl,--wrap=flock
                    -Wl,--wrap=statx -Wl,--wrap=clock_real_ns
                    -Wl,--wrap=clock_mono_ns -Wl,--wrap=clock_sleep_ns)

add_test(NAME unit_store_kv
  COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/../integration/test_kv.sh $<TARGET_FILE:drover-kv>)
set_tests_properties(unit_store_kv PROPERTIES TIMEOUT 300)

# A sanitizer's run-time is not what others link, and cannot be traced.
if(NOT DROVER_SANITIZE)
  add_test(NAME unit_store_kv_faults
    COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/../integration/test_kv_faults.sh
            $<TARGET_FILE:drover-kv> $<TARGET_FILE:unit_store_db>
            $<TARGET_FILE:unit_store_install> $<TARGET_FILE:unit_store_drover>)
  set_tests_properties(unit_store_kv_faults PROPERTIES
    TIMEOUT 300 SKIP_RETURN_CODE 77)
  add_test(NAME unit_store_examples
    COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/../integration/test_examples.sh
            $<TARGET_FILE:drover-kv> ${CMAKE_C_COMPILER} ${PROJECT_SOURCE_DIR}
            ${PROJECT_BINARY_DIR}/store/libdrover.a)
  set_tests_properties(unit_store_examples PROPERTIES TIMEOUT 300)
  add_test(NAME unit_store_install_lib
    COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/../integration/test_install_lib.sh
            ${CMAKE_BINARY_DIR} ${CMAKE_COMMAND} ${CMAKE_C_COMPILER})
  set_tests_properties(unit_store_install_lib PROPERTIES TIMEOUT 300
                       SKIP_RETURN_CODE 77)
endif()
