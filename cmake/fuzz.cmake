# Fuzzers of the parsers, each fuzz/NAME.cc one program fuzz_NAME. With clang:
#   cmake -S . -B build/fuzz -DCOVARY_FUZZ=ON -DCOVARY_SANITIZE=address,undefined -DCOVARY_PCH=OFF
#   build/fuzz/fuzz_ply -max_total_time=60 corpus/
if(COVARY_FUZZ)
  # The parsers' libraries carry the coverage counters that guide the search.
  foreach(library covary_base covary_core covary_splat covary_stat)
    target_compile_options(${library} PRIVATE -fsanitize=fuzzer-no-link)
  endforeach()
  file(GLOB fuzz_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/fuzz/*.cc)
  foreach(file ${fuzz_files})
    get_filename_component(name ${file} NAME_WE)
    add_executable(fuzz_${name} ${file})
    target_link_libraries(fuzz_${name} PRIVATE covary_splat covary_stat)
    target_include_directories(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  endforeach()
endif()
