# Tests of sync/.  Included by tests/CMakeLists.txt.

function(drover_sync_test name)
  add_executable(unit_sync_${name} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/test_${name}.c)
  target_link_libraries(unit_sync_${name} PRIVATE drover_sync PkgConfig::CMOCKA
                        drover_flags)
  add_test(NAME unit_sync_${name} COMMAND unit_sync_${name})
  set_tests_properties(unit_sync_${name} PROPERTIES TIMEOUT 180)
endfunction()

# One line per module that drover_sync holds.
drover_sync_test(boot)
drover_sync_test(index)
drover_sync_test(view)
drover_sync_test(term)
drover_sync_test(scan)
# The test moves the clock, and comes between a scan and what it calls.
target_link_options(unit_sync_scan PRIVATE -Wl,--wrap=clock_real_ns
                    -Wl,--wrap=value_read -Wl,--wrap=walk_db)

# Speed and memory, by hand: cmake --build BUILD --target bench_index
add_executable(bench_index EXCLUDE_FROM_ALL
               ${CMAKE_CURRENT_LIST_DIR}/../bench/bench_index.c)
target_link_libraries(bench_index PRIVATE drover_sync drover_flags)

# Links.
add_library(drover_link_support STATIC
  ${CMAKE_CURRENT_LIST_DIR}/../support/link_peer.c
  ${CMAKE_CURRENT_LIST_DIR}/../support/link_proxy.c)
target_link_libraries(drover_link_support PUBLIC drover_link PkgConfig::CMOCKA
                      Threads::Threads drover_flags)
add_executable(unit_link_exec ${CMAKE_CURRENT_LIST_DIR}/test_link_exec.c)
target_link_libraries(unit_link_exec PRIVATE drover_link_support)
add_test(NAME unit_link_exec COMMAND unit_link_exec)
set_tests_properties(unit_link_exec PROPERTIES TIMEOUT 240)
add_executable(unit_child ${CMAKE_CURRENT_LIST_DIR}/test_child.c)
target_link_libraries(unit_child PRIVATE drover_link_support)
add_test(NAME unit_child COMMAND unit_child)
set_tests_properties(unit_child PROPERTIES TIMEOUT 180)
add_executable(unit_lookup ${CMAKE_CURRENT_LIST_DIR}/test_lookup.c)
target_link_libraries(unit_lookup PRIVATE drover_link PkgConfig::CMOCKA
                      Threads::Threads drover_flags)
# The test stands in for the resolver.
target_link_options(unit_lookup PRIVATE -Wl,--wrap=getaddrinfo)
add_test(NAME unit_lookup COMMAND unit_lookup)
set_tests_properties(unit_lookup PROPERTIES TIMEOUT 180)
add_executable(unit_known_hosts ${CMAKE_CURRENT_LIST_DIR}/test_known_hosts.c)
target_link_libraries(unit_known_hosts PRIVATE drover_link_support)
add_test(NAME unit_known_hosts COMMAND unit_known_hosts)
set_tests_properties(unit_known_hosts PROPERTIES TIMEOUT 180)
# Against a throwaway sshd; skipped, saying why, where none can be had.
add_executable(integration_link_ssh
               ${CMAKE_CURRENT_LIST_DIR}/../integration/test_link_ssh.c)
target_link_libraries(integration_link_ssh PRIVATE drover_link_support)
# The test comes between two reads.
target_link_options(integration_link_ssh PRIVATE
                    -Wl,--wrap=libssh2_channel_read_ex)
add_test(NAME integration_link_ssh COMMAND integration_link_ssh)
set_tests_properties(integration_link_ssh PROPERTIES TIMEOUT 900 ENVIRONMENT
  "SSH_LAB=${CMAKE_CURRENT_LIST_DIR}/../integration/ssh_lab.sh")

# drover-replica's parts.
foreach(module IN ITEMS trash meta fresh role sync_group session disk sandbox stages perms)
  add_executable(unit_replica_${module}
                 ${CMAKE_CURRENT_LIST_DIR}/test_replica_${module}.c)
  target_link_libraries(unit_replica_${module} PRIVATE drover_replica
                        PkgConfig::CMOCKA drover_flags)
  add_test(NAME unit_replica_${module} COMMAND unit_replica_${module})
  set_tests_properties(unit_replica_${module} PROPERTIES TIMEOUT 180)
endforeach()
# The test stands in for the disk.
target_link_options(unit_replica_stages PRIVATE -Wl,--wrap=fsync
                    -Wl,--wrap=syncfs -Wl,--wrap=linkat)
target_link_options(unit_replica_disk PRIVATE -Wl,--wrap=fsync)
target_link_options(unit_replica_fresh PRIVATE -Wl,--wrap=syncfs)
# The test stands in for the kernel.
target_link_options(unit_replica_sandbox PRIVATE -Wl,--wrap=syscall)

# Wire and receiver.
add_library(drover_sync_support STATIC
  ${CMAKE_CURRENT_LIST_DIR}/../support/memstore.c
  ${CMAKE_CURRENT_LIST_DIR}/../support/receiver_rig.c
  ${CMAKE_CURRENT_LIST_DIR}/../support/wire_recode.c)
target_link_libraries(drover_sync_support PUBLIC drover_sync drover_flags)
foreach(module IN ITEMS state hint wire wire_hostile receiver receiver_deferred
                        receiver_query receiver_threads receiver_random
                        protocol_doc)
  drover_sync_test(${module})
  target_link_libraries(unit_sync_${module} PRIVATE drover_sync_support)
endforeach()
target_compile_definitions(unit_sync_protocol_doc PRIVATE
  DROVER_PROTOCOL_MD="${PROJECT_SOURCE_DIR}/sync/PROTOCOL.md")

# The real program over pipes.
add_executable(integration_replica
               ${CMAKE_CURRENT_LIST_DIR}/../integration/test_replica.c
               ${CMAKE_CURRENT_LIST_DIR}/../support/replica_drive.c)
target_compile_definitions(integration_replica PRIVATE
                           DROVER_REPLICA_PROGRAM="$<TARGET_FILE:drover-replica>")
target_link_libraries(integration_replica PRIVATE drover_replica
                      PkgConfig::CMOCKA drover_flags)
add_dependencies(integration_replica drover-replica)
add_test(NAME integration_replica COMMAND integration_replica)
set_tests_properties(integration_replica PROPERTIES TIMEOUT 600)
add_test(NAME integration_replica_cli
  COMMAND sh ${CMAKE_CURRENT_LIST_DIR}/../integration/test_replica_cli.sh
          $<TARGET_FILE:drover-replica>)
set_tests_properties(integration_replica_cli PROPERTIES TIMEOUT 300)

# The primary's core.
drover_sync_test(age)
drover_sync_test(changelog)
drover_sync_test(gate)
drover_sync_test(pace)
foreach(module IN ITEMS primary heard stalled refused stuck uncompared unread differs modes brake dirid primary_bounds primary_compare
                        primary_session primary_stream primary_walk moved_out unborn)
  drover_sync_test(${module})
  target_link_libraries(unit_sync_${module} PRIVATE drover_sync_support)
endforeach()
