# The simulator.  Included by tests/CMakeLists.txt.

add_executable(sim_primary
  ${CMAKE_CURRENT_LIST_DIR}/sim_agent.c
  ${CMAKE_CURRENT_LIST_DIR}/sim_check.c
  ${CMAKE_CURRENT_LIST_DIR}/sim_end.c
  ${CMAKE_CURRENT_LIST_DIR}/sim_main.c
  ${CMAKE_CURRENT_LIST_DIR}/sim_term.c
  ${CMAKE_CURRENT_LIST_DIR}/sim_replica.c
  ${CMAKE_CURRENT_LIST_DIR}/sim_scan.c
  ${CMAKE_CURRENT_LIST_DIR}/sim_steps.c
  ${CMAKE_CURRENT_LIST_DIR}/sim_tap.c
  ${CMAKE_CURRENT_LIST_DIR}/sim_world.c)
target_link_libraries(sim_primary PRIVATE drover_sync_support drover_flags)

# The same seeds in every run, so that a red run is about the change at hand;
# for new ones: sim_primary --seeds N --steps N.  Some ten times slower with
# sanitizers, and without the optimizer.
set(drover_sim_seeds 400)
if(DROVER_SANITIZE OR DROVER_COVERAGE)
  set(drover_sim_seeds 40)
endif()
add_test(NAME sim_random
         COMMAND sim_primary --seed 1 --seeds ${drover_sim_seeds} --steps 6000)
# Handovers in every run.
math(EXPR drover_sim_handovers "${drover_sim_seeds} / 4")
add_test(NAME sim_handovers
         COMMAND sim_primary --seed 200 --seeds ${drover_sim_handovers}
                 --steps 8000 --handovers)
add_test(NAME sim_regressions
         COMMAND sim_primary --list ${CMAKE_CURRENT_LIST_DIR}/seeds.txt)
set_tests_properties(sim_random sim_handovers sim_regressions PROPERTIES TIMEOUT 900)

# Each disables one rule; the promise that rests on it must be reported.
foreach(rule IN ITEMS sync look-old placeholder event drain root ack tear
                      verify alone health term)
  add_test(NAME sim_break_${rule}
           COMMAND sim_primary --break ${rule} --seed 1 --seeds 12 --steps 3000)
  set_tests_properties(sim_break_${rule} PROPERTIES TIMEOUT 300 LABELS once)
endforeach()
