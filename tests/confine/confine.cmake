# Confinement: what the receiver's sandbox refuses and allows, by trying it.
# Included by tests/CMakeLists.txt.
#
# The sandbox is compiled in again, without sanitizers: their runtimes need
# what it refuses.
add_executable(confine
  ${CMAKE_CURRENT_LIST_DIR}/test_confine.c
  ${CMAKE_CURRENT_LIST_DIR}/tries.c
  ${PROJECT_SOURCE_DIR}/sync/replica/sandbox/filter.c
  ${PROJECT_SOURCE_DIR}/sync/replica/sandbox/sandbox.c)
target_compile_definitions(confine PRIVATE _GNU_SOURCE)
target_include_directories(confine PRIVATE ${PROJECT_SOURCE_DIR})
target_compile_options(confine PRIVATE -Wall -Wextra -Wshadow -Wconversion
                       $<$<BOOL:${DROVER_WERROR}>:-Werror>)
target_link_libraries(confine PRIVATE PkgConfig::CMOCKA Threads::Threads)
add_test(NAME confine COMMAND confine)
set_tests_properties(confine PROPERTIES TIMEOUT 240 LABELS confine)

# What the programs do in a database whose owner is against them.
add_executable(confine_strangers
  ${CMAKE_CURRENT_LIST_DIR}/test_strangers.c)
target_compile_definitions(confine_strangers PRIVATE
  PROGRAMS="${CMAKE_BINARY_DIR}")
target_link_libraries(confine_strangers PRIVATE drover_replica
                      PkgConfig::CMOCKA drover_flags)
add_dependencies(confine_strangers drover drover-replica drover-kv)
add_test(NAME confine_strangers COMMAND confine_strangers)
set_tests_properties(confine_strangers PROPERTIES TIMEOUT 900 LABELS confine)

add_executable(e2e_deny ${CMAKE_CURRENT_LIST_DIR}/e2e_deny.c)
target_link_libraries(e2e_deny PRIVATE drover_flags)
set_target_properties(e2e_deny PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/e2e)

# drover_confine(LINK SCENARIO...): scenarios of integration/e2e_confine.sh
function(drover_confine link)
  math(EXPR timeout "${e2e_seconds} + 30")
  foreach(scenario IN LISTS ARGN)
    set(name confine_${scenario}_${link})
    add_test(NAME ${name}
      COMMAND e2e_run ${e2e_seconds} sh
              ${PROJECT_SOURCE_DIR}/tests/integration/e2e_confine.sh
              ${scenario} ${link})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${timeout}
      SKIP_RETURN_CODE 77 LABELS "integration;confine"
      ENVIRONMENT "${e2e_environment}")
  endforeach()
endfunction()
drover_confine(exec before_hello no_landlock no_seccomp no_noreplace
               control_users)
drover_confine(ssh secrets)
