# Chaos: the real programs, writers of every kind, and faults; see run.
# Included by tests/CMakeLists.txt.  By hand, for as long as you like:
#     tests/chaos/run --minutes 60 --build build

foreach(program IN ITEMS writer reader edit tool)
  add_executable(chaos_${program} ${CMAKE_CURRENT_LIST_DIR}/chaos_${program}.c
                 ${CMAKE_CURRENT_LIST_DIR}/chaos_names.c
                 ${CMAKE_CURRENT_LIST_DIR}/chaos_journal.c
                 ${PROJECT_SOURCE_DIR}/tests/support/e2e_value.c)
  target_link_libraries(chaos_${program} PRIVATE drover_flags PkgConfig::XXHASH)
  set_target_properties(chaos_${program} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/chaos)
endforeach()
target_sources(chaos_writer PRIVATE
  ${CMAKE_CURRENT_LIST_DIR}/chaos_tables.c
  ${PROJECT_SOURCE_DIR}/tests/support/e2e_calls.c)

find_program(DROVER_PYTHON python3)
set(chaos_environment ${e2e_environment} CHAOS_BIN=${CMAKE_BINARY_DIR}/tests/chaos)
set(chaos_long --seed 1 --runs 2 --storms 2 --storm 25)
set(chaos_slow --slow 2)
if(DROVER_SANITIZE)
  # Slower, and a preloaded clock would stand in the sanitizer's way.
  set(chaos_long --seed 3 --storms 1 --storm 25)
  set(chaos_slow --slow 4 --rate 60 --big 8)
else()
  add_library(chaos_clock MODULE ${CMAKE_CURRENT_LIST_DIR}/chaos_clock.c)
  target_link_libraries(chaos_clock PRIVATE drover_flags ${CMAKE_DL_LIBS})
  set_target_properties(chaos_clock PROPERTIES PREFIX ""
    C_VISIBILITY_PRESET default
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/chaos)
endif()

# drover_chaos(NAME LABELS ARGUMENT...)
function(drover_chaos name labels)
  add_test(NAME chaos_${name}
           COMMAND ${DROVER_PYTHON} ${PROJECT_SOURCE_DIR}/tests/chaos/run ${ARGN}
                   ${chaos_slow})
  set_tests_properties(chaos_${name} PROPERTIES TIMEOUT 1500
                       LABELS "${labels}" ENVIRONMENT "${chaos_environment}")
endfunction()

if(DROVER_PYTHON)
  drover_chaos(storms "chaos;once" ${chaos_long})
  drover_chaos(health "chaos;once" --health --seed 1)
  drover_chaos(seeds chaos --seeds ${CMAKE_CURRENT_LIST_DIR}/seeds.txt)
  if(NOT DROVER_SANITIZE)
    # Each does behind the readers' backs what must not happen.
    foreach(kind IN ITEMS torn foreign old missing fresh different health)
      drover_chaos(break_${kind} "chaos;once" --quiet --seed 1 --break ${kind})
    endforeach()
  endif()
endif()
