# Tests of store/.  Included by tests/CMakeLists.txt.

function(drover_store_test name)
  add_executable(unit_store_${name} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/test_${name}.c)
  target_link_libraries(unit_store_${name} PRIVATE drover_store PkgConfig::CMOCKA
                        Threads::Threads drover_flags)
  add_test(NAME unit_store_${name} COMMAND unit_store_${name})
  set_tests_properties(unit_store_${name} PROPERTIES TIMEOUT 120)
endfunction()

foreach(module IN ITEMS buf clock db drover err hex install json_out lock name
        quote rand read share temps units value walk)
  drover_store_test(${module})
endforeach()

# The test comes between an open and its lock.
target_link_options(unit_store_value PRIVATE -Wl,--wrap=flock)

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
  add_test(NAME unit_store_install_lib
    COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/../integration/test_install_lib.sh
            ${CMAKE_BINARY_DIR} ${CMAKE_COMMAND} ${CMAKE_C_COMPILER})
  set_tests_properties(unit_store_install_lib PROPERTIES TIMEOUT 300
                       SKIP_RETURN_CODE 77)
endif()
