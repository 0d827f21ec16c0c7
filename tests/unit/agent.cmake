# Tests of agent/.  Included by tests/CMakeLists.txt.

function(drover_agent_test name)
  add_executable(unit_agent_${name} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/test_${name}.c)
  target_link_libraries(unit_agent_${name} PRIVATE drover_agent PkgConfig::CMOCKA
                        drover_flags)
  add_test(NAME unit_agent_${name} COMMAND unit_agent_${name})
  set_tests_properties(unit_agent_${name} PROPERTIES TIMEOUT 240)
endfunction()

drover_agent_test(watch)
drover_agent_test(backoff)
drover_agent_test(identity)
drover_agent_test(small_file)
drover_agent_test(config)
drover_agent_test(control)
drover_agent_test(render)
drover_agent_test(command)
drover_agent_test(looks)
drover_agent_test(scans)
drover_agent_test(log)
