# Tests of store/.  Included by tests/CMakeLists.txt.

function(drover_store_test name)
  add_executable(unit_store_${name} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/test_${name}.c)
  target_link_libraries(unit_store_${name} PRIVATE drover_store PkgConfig::CMOCKA
                        Threads::Threads drover_flags)
  add_test(NAME unit_store_${name} COMMAND unit_store_${name})
  set_tests_properties(unit_store_${name} PROPERTIES TIMEOUT 120)
endfunction()

foreach(module IN ITEMS base drover quote name db lock value walk install)
  drover_store_test(${module})
endforeach()
