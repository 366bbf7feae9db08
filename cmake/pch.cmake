# One precompiled header for every file that sees libtorch, kept outside the clone and keyed by compiler, flags
# and text, so that ccache hits in every clone (CMake's own PCH carries absolute paths and never does).
# Sets COVARY_PCH_FILE and COVARY_PCH_USE, the options of a file that includes it. Call after all add_compile_options.
set(COVARY_CACHE "$ENV{COVARY_CACHE}")
if(NOT COVARY_CACHE)
  set(COVARY_CACHE "$ENV{HOME}/.cache/covary")
endif()
function(covary_make_pch header)
  get_directory_property(opts COMPILE_OPTIONS)
  list(FILTER opts EXCLUDE REGEX "prefix-map|^SHELL:|^-W|^\\$")
  string(TOUPPER "${CMAKE_BUILD_TYPE}" bt)
  separate_arguments(cfg UNIX_COMMAND "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${bt}}")
  set(flags ${cfg} -fPIC -fvisibility=hidden ${opts} -std=c++20
      -isystem ${COVARY_TORCH}/include -isystem ${COVARY_TORCH}/include/torch/csrc/api/include
      -isystem ${EIGEN3_INCLUDE_DIRS})
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
    list(APPEND flags -Xclang -fno-pch-timestamp -fpch-instantiate-templates)
    set(suffix .pch)
  else()
    set(suffix .gch)  # g++ looks for it beside the header that -include names
  endif()
  file(READ ${header} text)
  file(READ ${COVARY_TORCH}/include/torch/headeronly/version.h tv)
  string(SHA256 key "${CMAKE_CXX_COMPILER_VERSION}|${flags}|${text}|${tv}")
  string(SUBSTRING ${key} 0 16 key)
  set(dir ${COVARY_CACHE}/pch/${key})
  configure_file(${header} ${dir}/covary_pch.h COPYONLY)
  set(pch ${dir}/covary_pch.h${suffix})
  add_custom_command(OUTPUT ${pch} VERBATIM
    COMMAND flock ${dir}/lock sh -c "test -e '${pch}' || { \"$@\" && mv '${pch}.tmp' '${pch}'$<SEMICOLON> }" sh
            ${CMAKE_CXX_COMPILER} ${flags} -x c++-header -o ${pch}.tmp ${dir}/covary_pch.h)
  add_custom_target(covary_pch DEPENDS ${pch})
  set(COVARY_PCH_FILE ${pch} PARENT_SCOPE)
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
    set(COVARY_PCH_USE -Xclang -include-pch -Xclang ${pch} PARENT_SCOPE)
  else()
    set(COVARY_PCH_USE -include ${dir}/covary_pch.h -Winvalid-pch -fpch-preprocess PARENT_SCOPE)
  endif()
endfunction()

# covary_use_pch(target file...): the named sources of the target include the PCH.
function(covary_use_pch target)
  if(NOT COVARY_PCH_FILE OR NOT ARGN)
    return()
  endif()
  add_dependencies(${target} covary_pch)
  set_source_files_properties(${ARGN} TARGET_DIRECTORY ${target} PROPERTIES
    COMPILE_OPTIONS "${COVARY_PCH_USE}" OBJECT_DEPENDS ${COVARY_PCH_FILE})
endfunction()
