# Writes OUT, a header with the version of this build: VERSION, or in a git
# checkout of SOURCE what git describe says: "0.1.0-56-gbdf4434".
#
#   cmake -DSOURCE=... -DVERSION=0.1.0 -DOUT=... -P version.cmake
#
# Before the first tag v* the number is that of all commits.  OUT is only written
# when it changes.
set(version ${VERSION})
# A tarball may be unpacked inside of somebody else's checkout.
if(EXISTS ${SOURCE}/.git)
  find_program(GIT git)
  # As root, for a checkout of another user, too.
  set(git ${GIT} -c safe.directory=* -C ${SOURCE})
  if(GIT)
    execute_process(COMMAND ${git} describe --tags --match "v[0-9]*"
                    OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE
                    ERROR_QUIET RESULT_VARIABLE failed)
    if(NOT failed)
      string(REGEX REPLACE "^v" "" version "${described}")
    else()
      execute_process(COMMAND ${git} rev-list --count HEAD
                      OUTPUT_VARIABLE count OUTPUT_STRIP_TRAILING_WHITESPACE
                      ERROR_QUIET RESULT_VARIABLE failed)
      execute_process(COMMAND ${git} rev-parse --short HEAD
                      OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE
                      ERROR_QUIET)
      if(NOT failed)
        set(version "${VERSION}-${count}-g${commit}")
      endif()
    endif()
  endif()
endif()

set(text "#define DROVER_VERSION_BUILD \"${version}\"\n")
set(before "")
if(EXISTS ${OUT})
  file(READ ${OUT} before)
endif()
if(NOT text STREQUAL before)
  file(WRITE ${OUT} "${text}")
endif()
