# The simulator.  Included by tests/CMakeLists.txt.

add_executable(sim_primary
  ${CMAKE_CURRENT_LIST_DIR}/sim_agent.c
  ${CMAKE_CURRENT_LIST_DIR}/sim_check.c
  ${CMAKE_CURRENT_LIST_DIR}/sim_end.c
  ${CMAKE_CURRENT_LIST_DIR}/sim_main.c
  ${CMAKE_CURRENT_LIST_DIR}/sim_replica.c
  ${CMAKE_CURRENT_LIST_DIR}/sim_scan.c
  ${CMAKE_CURRENT_LIST_DIR}/sim_steps.c
  ${CMAKE_CURRENT_LIST_DIR}/sim_tap.c
  ${CMAKE_CURRENT_LIST_DIR}/sim_world.c)
target_link_libraries(sim_primary PRIVATE drover_sync_support drover_flags)
