# Resources: limits that are hit, much at once, much over time.  The scenarios
# of integration/e2e_resources.sh in the size for CI; tests/soak/run.sh runs them
# large.  Included by tests/CMakeLists.txt.
foreach(scenario IN ITEMS watch_limit instance_limit agent_descriptors
        receiver_descriptors replica_down many_tables many_keys soak)
  set(name soak_${scenario})
  math(EXPR timeout "${e2e_seconds} + 30")
  add_test(NAME ${name}
    COMMAND e2e_run ${e2e_seconds} sh
            ${PROJECT_SOURCE_DIR}/tests/integration/e2e_resources.sh
            ${scenario} exec)
  set_tests_properties(${name} PROPERTIES TIMEOUT ${timeout}
    SKIP_RETURN_CODE 77 LABELS "integration;soak;once"
    ENVIRONMENT "${e2e_environment}")
endforeach()
