# The Debian packages (systemd/deb): rules of Debian, equal bytes from equal
# sources, and a life in a bare Debian 12.
if(NOT DROVER_SANITIZE AND NOT DROVER_COVERAGE)
  foreach(name IN ITEMS made bare)
    add_test(NAME packages_${name}
      COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/test_${name}.sh ${PROJECT_SOURCE_DIR}
              ${PROJECT_BINARY_DIR} ${CMAKE_COMMAND})
    set_tests_properties(packages_${name} PROPERTIES TIMEOUT 1500 LABELS once
                         SKIP_RETURN_CODE 77 RESOURCE_LOCK packages)
  endforeach()
  # `bare` installs what `made` built.
  set_tests_properties(packages_made PROPERTIES FIXTURES_SETUP packages)
  set_tests_properties(packages_bare PROPERTIES FIXTURES_REQUIRED packages)
endif()
