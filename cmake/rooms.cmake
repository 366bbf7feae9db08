# The libraries, by room. A room's sources are all its .cc files; *_test.cc beside them make one test binary a
# room, named covary_<room>_test. A new file needs no line here.
#
#   covary_base    base numeric                no torch
#   covary_options every *_options.cc          no torch: what the launcher needs to check a command line
#   covary_core    compute linalg geometry data nn eval
#   covary_splat   scene capture render fit surface serve
#   covary_stat    process mixture filter
#   covary_verbs   cli/verbs, studies          the shared library that the launcher opens when a verb works
#   covary         cli                         the launcher: grammar and help, no torch

set(COVARY_SOURCE ${CMAKE_SOURCE_DIR}/src/covary)

# Sources of a folder: code in out, tests in out_tests, benchmarks in out_benches.
function(covary_sources folder out)
  file(GLOB_RECURSE all CONFIGURE_DEPENDS ${COVARY_SOURCE}/${folder}/*.cc)
  list(FILTER all EXCLUDE REGEX "_options\\.cc$")
  set(tests ${all})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  set(benches ${all})
  list(FILTER benches INCLUDE REGEX "_bench\\.cc$")
  list(FILTER all EXCLUDE REGEX "_(test|bench)\\.cc$")
  set(${out} ${all} PARENT_SCOPE)
  set(${out}_tests ${tests} PARENT_SCOPE)
  set(${out}_benches ${benches} PARENT_SCOPE)
endfunction()

# The files that see torch: not base, numeric, geometry, data or options, nor the kernels of compute (reference.cc,
# simd.cc, *_kernel.cc and their tests).
function(covary_torch_files out)
  set(files ${ARGN})
  list(FILTER files EXCLUDE REGEX "/core/(base|numeric|geometry|data)/")
  list(FILTER files EXCLUDE REGEX "/core/(compute|eval)/(.*/)?(reference|simd|[a-z_0-9]*_kernel|[a-z_0-9]*_bench)(_test)?\\.cc$")
  set(${out} ${files} PARENT_SCOPE)
endfunction()

function(covary_library name kind)
  set(sources)
  foreach(room ${ARGN})
    covary_sources(${room} s)
    list(APPEND sources ${s})
  endforeach()
  add_library(${name} ${kind} ${sources})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  covary_torch_files(with_torch ${sources})
  covary_use_pch(${name} ${with_torch})
endfunction()

function(covary_room_test room library)
  covary_sources(${room} s)
  get_filename_component(name ${room} NAME)
  if(COVARY_TESTS AND s_tests)
    add_executable(covary_${name}_test ${s_tests})
    target_link_libraries(covary_${name}_test PRIVATE ${library} GTest::gmock GTest::gtest_main rapidcheck)
    covary_torch_files(with_torch ${s_tests})
    covary_use_pch(covary_${name}_test ${with_torch})
    target_compile_definitions(covary_${name}_test PRIVATE COVARY_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
      COVARY_BINARY_DIR="${CMAKE_BINARY_DIR}")
    add_test(NAME ${name} COMMAND covary_${name}_test)
    set_tests_properties(${name} PROPERTIES TIMEOUT 900 ENVIRONMENT GOMP_SPINCOUNT=0)
  endif()
  if(COVARY_BENCH AND s_benches)
    add_executable(covary_${name}_bench ${s_benches})
    target_link_libraries(covary_${name}_bench PRIVATE ${library} benchmark::benchmark_main)
  endif()
endfunction()

if(COVARY_TESTS)
  find_package(GTest REQUIRED)
  find_package(rapidcheck REQUIRED)
endif()
if(COVARY_BENCH)
  find_package(benchmark REQUIRED)
endif()

covary_library(covary_base STATIC core/base core/numeric)
covary_commit_source(covary_base)
target_include_directories(covary_base SYSTEM PUBLIC ${RANDOM123_INCLUDE})
target_link_libraries(covary_base PUBLIC nlohmann_json::nlohmann_json covary_ext_gomp)
target_compile_definitions(covary_base PRIVATE COVARY_VERSION="${PROJECT_VERSION}")

file(GLOB_RECURSE option_files CONFIGURE_DEPENDS ${COVARY_SOURCE}/*_options.cc)
add_library(covary_options STATIC ${option_files})
target_link_libraries(covary_options PUBLIC covary_base)

covary_library(covary_core STATIC core/compute core/linalg core/geometry core/data core/nn core/eval)
target_include_directories(covary_core SYSTEM PUBLIC ${NANOFLANN_INCLUDE})
target_link_libraries(covary_core PUBLIC covary_options covary_torch Eigen3::Eigen hwy::hwy
  PRIVATE PNG::PNG JPEG::JPEG ZLIB::ZLIB PkgConfig::EXIF PkgConfig::WEBP PkgConfig::ZSTD embree)

# SIMD targets: baseline (scalar or SSE2), SSE4, AVX2, AVX-512. The two left out would double compile time for machines
# that one of these serves.
target_compile_definitions(covary_core PUBLIC "HWY_DISABLED_TARGETS=(HWY_SSSE3|HWY_AVX3_DL)")

covary_library(covary_splat STATIC splat/scene splat/capture splat/render splat/fit splat/surface splat/serve)
target_link_libraries(covary_splat PUBLIC covary_core PRIVATE pugixml::pugixml ZLIB::ZLIB)
# The text of the child program is part of the library.
set(worker ${COVARY_SOURCE}/splat/capture/pycolmap_worker.py)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${worker})
file(READ ${worker} worker_text)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/pycolmap_worker.inc CONTENT "R\"worker(@worker_text@)worker\"\n" @ONLY)
target_include_directories(covary_splat PRIVATE ${CMAKE_BINARY_DIR}/generated)

# So is the viewer's page: web/dist, which is built from web/src by Node and kept in the repository.
foreach(file index.html viewer.js viewer.css)
  set(page ${CMAKE_SOURCE_DIR}/web/dist/${file})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${page})
  file(READ ${page} page_bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," page_bytes "${page_bytes}")
  string(MAKE_C_IDENTIFIER ${file} page_name)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/viewer_${page_name}.inc CONTENT "@page_bytes@\n" @ONLY)
endforeach()

covary_library(covary_stat STATIC stat/process stat/mixture stat/filter)
target_link_libraries(covary_stat PUBLIC covary_core)

covary_room_test(core/base covary_base)
covary_room_test(core/numeric covary_base)
foreach(room compute linalg geometry data nn eval)
  covary_room_test(core/${room} covary_core)
endforeach()
foreach(room scene capture render fit surface serve)
  covary_room_test(splat/${room} covary_splat)
endforeach()
foreach(room process mixture filter)
  covary_room_test(stat/${room} covary_stat)
endforeach()

# The roof. cli/*.cc is the launcher; cli/verbs/*.cc and studies/ make the library that it opens.
file(GLOB verb_files CONFIGURE_DEPENDS ${COVARY_SOURCE}/cli/verbs/*.cc ${CMAKE_SOURCE_DIR}/studies/*.cc
     ${CMAKE_SOURCE_DIR}/studies/*/*.cc)
if(verb_files)
  add_library(covary_verbs SHARED ${verb_files})
  target_link_libraries(covary_verbs PRIVATE covary_splat covary_stat)
  target_include_directories(covary_verbs PRIVATE ${CMAKE_SOURCE_DIR})
  covary_use_pch(covary_verbs ${verb_files})
endif()
file(GLOB launcher_files CONFIGURE_DEPENDS ${COVARY_SOURCE}/cli/*.cc)
set(cli_tests ${launcher_files})
list(FILTER cli_tests INCLUDE REGEX "_test\\.cc$")
list(FILTER launcher_files EXCLUDE REGEX "_(test|options)\\.cc$")
if(launcher_files)
  set(grammar_files ${launcher_files})
  list(FILTER grammar_files EXCLUDE REGEX "/main\\.cc$")
  add_library(covary_grammar STATIC ${grammar_files})
  target_link_libraries(covary_grammar PUBLIC covary_options)
  add_executable(covary ${COVARY_SOURCE}/cli/main.cc)
  target_link_libraries(covary PRIVATE covary_grammar)
  if(TARGET covary_verbs)
    add_dependencies(covary covary_verbs)
    target_link_libraries(covary_verbs PRIVATE covary_grammar)
  endif()
  if(COVARY_TESTS AND cli_tests)
    add_executable(covary_cli_test ${cli_tests})
    target_link_libraries(covary_cli_test PRIVATE covary_grammar GTest::gmock GTest::gtest_main)
    target_compile_definitions(covary_cli_test PRIVATE COVARY_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
      COVARY_BINARY_DIR="${CMAKE_BINARY_DIR}")
    add_test(NAME cli COMMAND covary_cli_test)
    set_tests_properties(cli PROPERTIES TIMEOUT 900)
  endif()
endif()

# bench/train_step: the stages of a training step.
if(COVARY_BENCH)
  file(GLOB train_step_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/train_step*.cc)
  add_executable(covary_train_step ${train_step_files})
  target_include_directories(covary_train_step PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(covary_train_step PRIVATE covary_splat)
  covary_use_pch(covary_train_step ${train_step_files})
endif()
