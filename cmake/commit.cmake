# The commit that a build is of, for the records of runs and studies: covary::commit(). Looked up at every build, in a
# file of its own, so that a new commit compiles that file alone. Empty outside a git checkout.
#
# Included: covary_commit_source(TARGET) adds the file to a library. As a script (cmake -DOUT=FILE -DSOURCE=DIR -P):
# writes it.
if(CMAKE_SCRIPT_MODE_FILE)
  set(commit "")
  find_program(GIT git)
  if(GIT AND EXISTS ${SOURCE}/.git)
    execute_process(COMMAND ${GIT} describe --always --dirty --abbrev=12 --exclude=* WORKING_DIRECTORY ${SOURCE}
      OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  file(CONFIGURE OUTPUT ${OUT} @ONLY CONTENT [=[
#include "covary/core/base/machine.h"

const char* covary::commit() { return "@commit@"; }
]=])
  return()
endif()

function(covary_commit_source target)
  set(file ${CMAKE_BINARY_DIR}/commit.cc)
  set(script ${CMAKE_COMMAND} -DOUT=${file} -DSOURCE=${CMAKE_SOURCE_DIR} -P ${CMAKE_SOURCE_DIR}/cmake/commit.cmake)
  add_custom_target(covary_commit COMMAND ${script} BYPRODUCTS ${file} COMMENT "Commit of the build")
  target_sources(${target} PRIVATE ${file})
  add_dependencies(${target} covary_commit)
endfunction()
