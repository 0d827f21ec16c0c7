# End-to-end tests: real agents, receivers, and an sshd of OpenSSH on loopback.
# Included by tests/CMakeLists.txt.
#
# Each scenario is one test, run once per kind of link; see e2e_lib.sh.  By hand:
#     ctest --test-dir build -R e2e_writers --output-on-failure
# E2E_KEEP=1 keeps a test's folder, E2E_SEED=N repeats a random one.

set(e2e_support ${PROJECT_SOURCE_DIR}/tests/support)
foreach(program IN ITEMS run json tree reader writer mover opens hot throttle)
  add_executable(e2e_${program} ${e2e_support}/e2e_${program}.c)
  target_link_libraries(e2e_${program} PRIVATE drover_flags)
  set_target_properties(e2e_${program} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/e2e)
endforeach()
# A receiver that does what none should.
add_executable(e2e_evil_receiver ${e2e_support}/evil_receiver.c)
target_link_libraries(e2e_evil_receiver PRIVATE drover_sync drover_flags)
set_target_properties(e2e_evil_receiver PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/e2e)
add_executable(e2e_twins ${e2e_support}/e2e_twins.c)
target_link_libraries(e2e_twins PRIVATE drover_xxh3_pair drover_flags)
set_target_properties(e2e_twins PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/e2e)
target_link_libraries(e2e_json PRIVATE PkgConfig::JANSSON)
target_link_libraries(e2e_tree PRIVATE PkgConfig::XXHASH)
target_sources(e2e_reader PRIVATE ${e2e_support}/e2e_value.c)
target_link_libraries(e2e_reader PRIVATE PkgConfig::XXHASH)
target_sources(e2e_writer PRIVATE ${e2e_support}/e2e_value.c
               ${e2e_support}/e2e_calls.c)
target_link_libraries(e2e_writer PRIVATE PkgConfig::XXHASH)

# Preloaded into receivers.
add_library(no_inotify MODULE ${e2e_support}/no_inotify.c)
target_link_libraries(no_inotify PRIVATE drover_flags)
set_target_properties(no_inotify PROPERTIES PREFIX "" SUFFIX ".so"
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/e2e)

# A sanitized agent is slower and larger.
set(e2e_seconds 300)
set(e2e_environment
  DROVER=$<TARGET_FILE:drover>
  DROVER_REPLICA=$<TARGET_FILE:drover-replica>
  DROVER_KV=$<TARGET_FILE:drover-kv>
  E2E_BIN=${CMAKE_BINARY_DIR}/tests/e2e)
if(DROVER_SANITIZE)
  set(e2e_seconds 600)
  list(APPEND e2e_environment E2E_WAIT=180 E2E_HUGE_BYTES=200000000
       E2E_PEAK_MIB=1000 E2E_SANITIZED=1)
elseif(DROVER_COVERAGE)
  list(APPEND e2e_environment E2E_HUGE_BYTES=200000000)
endif()

# drover_e2e(file LINKS exec [ssh] [ONCE] SCENARIOS name...)
function(drover_e2e file)
  cmake_parse_arguments(arg "ONCE" "" "LINKS;SCENARIOS" ${ARGN})
  math(EXPR timeout "${e2e_seconds} + 30")
  foreach(scenario IN LISTS arg_SCENARIOS)
    foreach(link IN LISTS arg_LINKS)
      set(name e2e_${file}_${scenario}_${link})
      set(labels integration e2e)
      if(arg_ONCE OR link STREQUAL ssh)
        list(APPEND labels once)
      endif()
      add_test(NAME ${name}
        COMMAND e2e_run ${e2e_seconds} sh
                ${PROJECT_SOURCE_DIR}/tests/integration/e2e_${file}.sh
                ${scenario} ${link})
      set_tests_properties(${name} PROPERTIES TIMEOUT ${timeout}
        SKIP_RETURN_CODE 77 LABELS "${labels}"
        ENVIRONMENT "${e2e_environment}")
    endforeach()
  endforeach()
endfunction()

drover_e2e(writers LINKS exec ssh
           SCENARIOS every_kind empty_values silent_writers readers)
drover_e2e(writers LINKS exec SCENARIOS no_change creates)
drover_e2e(examples LINKS exec SCENARIOS readers writers)
drover_e2e(ignored LINKS exec SCENARIOS links foreign relinked)
drover_e2e(stars LINKS exec ssh SCENARIOS held)
drover_e2e(stars LINKS exec SCENARIOS killed real_keys kv)
drover_e2e(tables LINKS exec ssh SCENARIOS live at_start odd_keys)
drover_e2e(tables LINKS exec ssh ONCE SCENARIOS huge_value)
drover_e2e(tables LINKS exec SCENARIOS bursts in_turn)
drover_e2e(moves LINKS exec SCENARIOS at_random)
drover_e2e(moves LINKS exec ONCE
           SCENARIOS steady outside while_scanning together)
drover_e2e(faults LINKS exec ssh
           SCENARIOS link_cut agent_killed stopped_receiver lock_on_primary
                     lock_on_replica)
drover_e2e(faults LINKS exec
           SCENARIOS unchanged_restart power_lost overflow lock_replaced lock_at_start)
drover_e2e(faults LINKS ssh SCENARIOS small_buffers)
drover_e2e(remedies LINKS ssh SCENARIOS hardened refusing forced logins sleeping)
drover_e2e(remedies LINKS exec ONCE SCENARIOS every_number targets database copied)
drover_e2e(truth LINKS exec SCENARIOS refused denied behind away flapping)
drover_e2e(edits LINKS exec ONCE SCENARIOS values tables)
drover_e2e(edits LINKS exec SCENARIOS others planted planted_plain mounted restless idle locked quiet touched paused unwatched)
drover_e2e(hot LINKS exec SCENARIOS appended never_still)
drover_e2e(hot LINKS exec ONCE SCENARIOS replaced sparse touched)
drover_e2e(guard LINKS exec ssh SCENARIOS two_agents root_lost brake brake_live)
drover_e2e(guard LINKS exec
           SCENARIOS other_database root_unmounted unreadable unreadable_at_start
                     gone_beside_covered
                     brake_off identity metadata_lost)
drover_e2e(brake LINKS exec SCENARIOS renamed_away after_a_restart)
drover_e2e(brake LINKS exec ONCE
           SCENARIOS build_tables discarded exchanged while_others_come)
drover_e2e(delete LINKS exec
           SCENARIOS symlink_for_table exchanged moved_and_replaced trash trash_bounds)
drover_e2e(delete LINKS exec ONCE
           SCENARIOS poor_filesystem bind_over_table mounted_live bind_over_root
                     readdir_error identity_damaged old_backup)
drover_e2e(operate LINKS exec ssh SCENARIOS edited reload terminated modes)
drover_e2e(operate LINKS exec SCENARIOS behind_its_back dropins freshness another_user exit_codes ad_hoc paused)
drover_e2e(enroll LINKS ssh SCENARIOS from_nothing faults printed twice odd_names
           asked bare_hosts)
drover_e2e(enroll_there LINKS exec SCENARIOS planted at_once others nobody_hears looked_at)
drover_e2e(config LINKS exec SCENARIOS too_many mistakes hints)
drover_e2e(verify LINKS exec SCENARIOS blind pending expired edited modes foreign lost_found
    once)
drover_e2e(watch LINKS exec SCENARIOS stream terminal)
drover_e2e(metrics LINKS exec SCENARIOS served known trouble)
drover_e2e(check LINKS exec ssh SCENARIOS without running other_side)
drover_e2e(check LINKS exec SCENARIOS database as_user plain adhoc replica older stubborn stranger limits receiver_user)
drover_e2e(events LINKS exec SCENARIOS kept followed broken logged)
drover_e2e(bugreport LINKS exec SCENARIOS marked without hung plain)
drover_e2e(key LINKS exec SCENARIOS places names stopped denied plain)
drover_e2e(schema LINKS exec SCENARIOS agents replicas kv)
drover_e2e(login LINKS exec SCENARIOS exec_errors asked_for)
drover_e2e(login LINKS ssh SCENARIOS ssh_errors openssh_errors forced_command refused_key
           retried noticed)

# With the plain build only, and in a suite of its own (tests/run.sh): valgrind
# has its own idea of memory, and slows down all that runs beside it.
if(NOT DROVER_SANITIZE AND NOT DROVER_COVERAGE)
  drover_e2e(valgrind LINKS exec ssh SCENARIOS everything)
  foreach(link IN ITEMS exec ssh)
    set_tests_properties(e2e_valgrind_everything_${link} PROPERTIES
                         LABELS valgrind)
  endforeach()
endif()
drover_e2e(handover LINKS exec ssh
           SCENARIOS planned unplanned live_primary two_primaries outlived)
drover_e2e(handover LINKS exec
           SCENARIOS behind by_force replaced_by_copy roles owners killed)

drover_e2e(evil LINKS exec SCENARIOS lies ends stalls floods differences
           beside_the_slow)
drover_e2e(evil LINKS ssh SCENARIOS floods)
drover_e2e(names LINKS exec ssh ONCE SCENARIOS every_byte)
drover_e2e(names LINKS exec SCENARIOS kv)
drover_e2e(identity LINKS exec SCENARIOS blank anew earlier twice clone
           nested below)
drover_e2e(twins LINKS exec SCENARIOS values keys tables)

# A hostile agent, and somebody with links, against the real receiver.
add_executable(integration_evil_primary
               ${CMAKE_CURRENT_LIST_DIR}/test_evil_primary.c
               ${e2e_support}/replica_drive.c)
target_compile_definitions(integration_evil_primary PRIVATE
                           DROVER_REPLICA_PROGRAM="$<TARGET_FILE:drover-replica>")
target_link_libraries(integration_evil_primary PRIVATE drover_replica
                      PkgConfig::CMOCKA drover_flags)
add_dependencies(integration_evil_primary drover-replica)
add_test(NAME integration_evil_primary COMMAND integration_evil_primary)
set_tests_properties(integration_evil_primary PROPERTIES TIMEOUT 600
                     LABELS integration)

# drover-kv, and the library as others use it.
add_test(NAME integration_kv
  COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/test_kv.sh $<TARGET_FILE:drover-kv>)
set_tests_properties(integration_kv PROPERTIES TIMEOUT 300)
add_test(NAME integration_completion
  COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/test_completion.sh
          ${PROJECT_BINARY_DIR}/completions $<TARGET_FILE:drover>
          $<TARGET_FILE:drover-replica> $<TARGET_FILE:drover-kv>)
add_test(NAME integration_version
  COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/test_version.sh ${CMAKE_COMMAND}
          ${PROJECT_SOURCE_DIR}/store/cmdline/version.cmake)
set_tests_properties(integration_completion integration_version
                     PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
# A sanitizer's run-time is not what others link, and cannot be traced.
if(NOT DROVER_SANITIZE)
  add_test(NAME integration_kv_faults
    COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/test_kv_faults.sh
            $<TARGET_FILE:drover-kv> $<TARGET_FILE:unit_store_layout_db>
            $<TARGET_FILE:unit_store_layout_install>
            $<TARGET_FILE:unit_store_lib_drover>)
  add_test(NAME integration_examples
    COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/test_examples.sh
            $<TARGET_FILE:drover-kv> ${CMAKE_C_COMPILER} ${PROJECT_SOURCE_DIR}
            ${PROJECT_BINARY_DIR}/store/libdrover.a)
  add_test(NAME integration_install_lib
    COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/test_install_lib.sh
            ${CMAKE_BINARY_DIR} ${CMAKE_COMMAND} ${CMAKE_C_COMPILER})
  set_tests_properties(integration_kv_faults integration_examples
                       integration_install_lib
                       PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
endif()

# Links against a throwaway sshd; skipped, saying why, where none can be had.
add_executable(integration_link_ssh ${CMAKE_CURRENT_LIST_DIR}/test_link_ssh.c)
target_link_libraries(integration_link_ssh PRIVATE drover_link_support)
# The test comes between two reads.
drover_wrap(integration_link_ssh libssh2_channel_read_ex)
add_test(NAME integration_link_ssh COMMAND integration_link_ssh)
set_tests_properties(integration_link_ssh PROPERTIES TIMEOUT 900 ENVIRONMENT
  "SSH_LAB=${CMAKE_CURRENT_LIST_DIR}/ssh_lab.sh")

# The real drover-replica over pipes.
add_executable(integration_replica ${CMAKE_CURRENT_LIST_DIR}/test_replica.c
               ${CMAKE_CURRENT_LIST_DIR}/../support/replica_drive.c)
target_compile_definitions(integration_replica PRIVATE
                           DROVER_REPLICA_PROGRAM="$<TARGET_FILE:drover-replica>")
target_link_libraries(integration_replica PRIVATE drover_replica
                      PkgConfig::CMOCKA drover_flags)
add_dependencies(integration_replica drover-replica)
add_test(NAME integration_replica COMMAND integration_replica)
set_tests_properties(integration_replica PROPERTIES TIMEOUT 600)
add_test(NAME integration_replica_cli
  COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/test_replica_cli.sh
          $<TARGET_FILE:drover-replica>)
set_tests_properties(integration_replica_cli PROPERTIES TIMEOUT 300)
