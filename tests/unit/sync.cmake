# Links.
add_executable(unit_link_exec ${CMAKE_CURRENT_LIST_DIR}/test_link_exec.c)
target_link_libraries(unit_link_exec PRIVATE drover_link PkgConfig::CMOCKA drover_flags)
add_test(NAME unit_link_exec COMMAND unit_link_exec)
set_tests_properties(unit_link_exec PROPERTIES TIMEOUT 240)
