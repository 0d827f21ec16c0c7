# The checked models.  Included by tests/CMakeLists.txt.
foreach(set IN ITEMS rules broken names)
  add_test(NAME model_${set}
           COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/run.sh ${set})
  set_tests_properties(model_${set} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 1800
                       LABELS model)
endforeach()
