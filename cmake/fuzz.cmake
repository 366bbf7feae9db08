# Fuzzers of the parsers, each fuzz/NAME.cc one program fuzz_NAME. With clang:
#   cmake --preset asan -DCOVARY_FUZZ=ON
#   build-asan/fuzz_ply -max_total_time=60 corpus/
if(COVARY_FUZZ)
  file(GLOB fuzz_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/fuzz/*.cc)
  foreach(file ${fuzz_files})
    get_filename_component(name ${file} NAME_WE)
    add_executable(fuzz_${name} ${file})
    target_link_libraries(fuzz_${name} PRIVATE covary_splat)
    # What else a target needs, so that a parser's own is not built for every room.
    if(name MATCHES "^(filter|kernel|search_space)$")
      target_link_libraries(fuzz_${name} PRIVATE covary_stat)
    endif()
    target_include_directories(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  endforeach()
endif()
