# Unit tests, in folders like the rooms they test.  Included by
# tests/CMakeLists.txt.
#
# drover_unit(ROOM MODULE...): ROOM/test_MODULE.c becomes the program and the
# test unit_<store, sync or agent>_<last part of ROOM>_<MODULE>; a room's own
# name is not said twice (sync/index/test_index.c is unit_sync_index).
# drover_wrap(TEST CALL...): the test stands in for these calls.

# Pairs of inputs that a hash without a secret takes for one.
add_library(drover_xxh3_pair STATIC
  ${CMAKE_CURRENT_LIST_DIR}/../support/xxh3_pair.c)
target_link_libraries(drover_xxh3_pair PUBLIC drover_flags PkgConfig::XXHASH)

# A receiver's disk in memory, frames by hand.
add_library(drover_sync_support STATIC
  ${CMAKE_CURRENT_LIST_DIR}/../support/memstore.c
  ${CMAKE_CURRENT_LIST_DIR}/../support/receiver_rig.c
  ${CMAKE_CURRENT_LIST_DIR}/../support/wire_recode.c)
target_link_libraries(drover_sync_support PUBLIC drover_sync drover_flags)

# The other end of a link.
add_library(drover_link_support STATIC
  ${CMAKE_CURRENT_LIST_DIR}/../support/link_peer.c
  ${CMAKE_CURRENT_LIST_DIR}/../support/link_proxy.c)
target_link_libraries(drover_link_support PUBLIC drover_link PkgConfig::CMOCKA
                      Threads::Threads drover_flags)

# What a room's tests are linked with.
function(drover_unit_library out room)
  if(room MATCHES "^store/")
    set(${out} drover_store PARENT_SCOPE)
  elseif(room STREQUAL "sync/link")
    set(${out} drover_link_support PARENT_SCOPE)
  elseif(room MATCHES "^sync/replica")
    set(${out} drover_replica PARENT_SCOPE)
  elseif(room MATCHES "^sync/")
    set(${out} drover_sync_support PARENT_SCOPE)
  else()
    set(${out} drover_agent PARENT_SCOPE)
  endif()
endfunction()

function(drover_unit room)
  drover_unit_library(library ${room})
  string(REGEX REPLACE "/.*" "" folder ${room})
  get_filename_component(last ${room} NAME)
  foreach(module IN LISTS ARGN)
    if(module STREQUAL last OR module MATCHES "^${last}_")
      set(name unit_${folder}_${module})
    else()
      set(name unit_${folder}_${last}_${module})
    endif()
    add_executable(${name}
                   ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/${room}/test_${module}.c)
    target_link_libraries(${name} PRIVATE ${library} PkgConfig::CMOCKA
                          Threads::Threads drover_flags)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 240)
  endforeach()
endfunction()

function(drover_wrap name)
  list(TRANSFORM ARGN PREPEND -Wl,--wrap=)
  target_link_options(${name} PRIVATE ${ARGN})
endfunction()

drover_unit(store/base backoff base64 buf clock digest dir err hash hex json_out prom quote rand sys units utc)
drover_unit(store/cmdline cmdline suggest version)
drover_unit(store/files filesystem own_dir small_file)
drover_unit(store/layout copy db fresh_age holders install lock mountinfo name passed placeholder read share startemp suspects temps value walk)
drover_unit(store/lib drover)
drover_unit(sync/check finding finding_show host)
drover_unit(sync/errors hint state)
drover_unit(sync/wire protocol_doc wire wire_hostile)
drover_unit(sync/identity dirid term)
drover_unit(sync/index age boot index scan seen view)
drover_unit(sync/primary/log changelog gate latency pace)
drover_unit(sync/primary brake differs heard modes refused stalled stuck uncompared unread)
drover_unit(sync/primary/delivery moved_out stream unborn)
drover_unit(sync/primary/compare compare compare_walk)
drover_unit(sync/primary/facade primary primary_bounds primary_where session)
drover_unit(sync/receiver receiver receiver_deferred receiver_query receiver_random receiver_threads)
drover_unit(sync/link child known_hosts link_exec lookup openssh)
drover_unit(sync/replica/sandbox sandbox)
drover_unit(sync/replica/meta fresh meta session)
drover_unit(sync/replica/trash trash)
drover_unit(sync/replica/disk disk perms stages sync_group)
drover_unit(sync/replica/edits edit_mounts edit_names edit_odd edit_watch)
drover_unit(sync/replica/role role)
drover_unit(sync/replica/check look)
drover_unit(agent/base exchanged journal listen_address log object)
drover_unit(agent/identity identity known)
drover_unit(agent/watch mounts watch)
drover_unit(agent/read ignored met reader scans)
drover_unit(agent/enroll lock pinned plan program script step_dropin)
drover_unit(agent/config config config_files config_inputs hint_names ssh_line)
drover_unit(agent/replica breaks mended)
drover_unit(agent/events events events_since)
drover_unit(agent/notes covered notes)
drover_unit(agent/metrics metrics metrics_server)
drover_unit(agent/daemon coverage)
drover_unit(agent/control control)
drover_unit(agent/check as_user asked limits local)
drover_unit(agent/key on_disk)
drover_unit(agent/report bundle host part redact)
drover_unit(agent/cli/render health render render_key screen)
drover_unit(agent/cli command)

foreach(name IN ITEMS digest hash)
  target_link_libraries(unit_store_base_${name} PRIVATE drover_xxh3_pair)
endforeach()
target_compile_definitions(unit_sync_wire_protocol_doc PRIVATE
  DROVER_PROTOCOL_MD="${PROJECT_SOURCE_DIR}/sync/PROTOCOL.md")

# Each call is interrupted, and moves a few bytes.
drover_wrap(unit_agent_base_journal sd_journal_sendv)
drover_wrap(unit_store_base_sys read pread write pwrite fsync)
drover_wrap(unit_store_files_filesystem fstatfs)
drover_wrap(unit_sync_check_host fstatvfs adjtimex)
drover_wrap(unit_store_base_dir readdir)
drover_wrap(unit_store_layout_holders lock_holder clock_mono_ns)
# The test comes between an open and its lock.
drover_wrap(unit_store_layout_value flock)
drover_wrap(unit_store_layout_placeholder flock statx clock_real_ns clock_mono_ns
            clock_sleep_ns)
# The test moves the clock, and comes between a scan and what it calls.
drover_wrap(unit_sync_index_scan clock_real_ns value_read walk_db)
# The test is the resolver.
drover_wrap(unit_sync_link_lookup getaddrinfo)
# The test is the disk, the kernel.
drover_wrap(unit_sync_disk_stages fsync syncfs linkat)
drover_wrap(unit_sync_disk fsync)
drover_wrap(unit_sync_meta_fresh syncfs)
drover_wrap(unit_sync_sandbox syscall)
drover_wrap(unit_store_files_small_file openat renameat2)
