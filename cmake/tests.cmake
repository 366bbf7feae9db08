# Tests that belong to no room: the order of the rooms, and each study at smoke scale.
if(NOT COVARY_TESTS)
  return()
endif()
find_package(Python3 COMPONENTS Interpreter REQUIRED)
add_test(NAME layers COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/layers.py ${CMAKE_SOURCE_DIR})
add_test(NAME layers_self_test COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/layers.py --self-test)

# Constants that are checked in are those that their script writes.
add_test(NAME bessel_tables COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/scripts/bessel_tables.py --check)
add_test(NAME sobol_tables COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/scripts/sobol_tables.py --check)

# The maths of a kernel compiles for a GPU too.
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  add_test(NAME device_maths COMMAND ${CMAKE_SOURCE_DIR}/tests/device_maths.sh ${CMAKE_CXX_COMPILER} ${CMAKE_SOURCE_DIR})
  set_tests_properties(device_maths PROPERTIES SKIP_RETURN_CODE 77)
endif()

# The benchmark of a training step on the sample, and the script that compares two of its runs.
add_test(NAME bench_compare COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/bench_compare.py)
if(TARGET covary_train_step)
  add_test(NAME train_step_smoke COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/train_step_smoke.py
           $<TARGET_FILE:covary_train_step>)
  set_tests_properties(train_step_smoke PROPERTIES TIMEOUT 120 RUN_SERIAL TRUE)
endif()

# study_SLUG_smoke runs the program as a user would. Parts of a study lie in studies/SLUG/.
file(GLOB study_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/studies/*.cc)
foreach(file ${study_files})
  if(TARGET covary AND TARGET covary_verbs)
    get_filename_component(slug ${file} NAME_WE)
    string(REPLACE "-" "_" name ${slug})
    add_test(NAME study_${name}_smoke COMMAND covary study ${slug} --scale smoke)
    set_tests_properties(study_${name}_smoke PROPERTIES TIMEOUT 600 RUN_SERIAL TRUE)
  endif()
endforeach()

# The program as a user meets it: broken input, Ctrl-C, kill -9, resumption.
if(TARGET covary AND TARGET covary_verbs)
  add_test(NAME command_line COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tests/command_line.py ${CMAKE_BINARY_DIR})
  set_tests_properties(command_line PROPERTIES TIMEOUT 600)
endif()

# The viewer: its page's own tests, and the page in headless Chromium. Skipped, with a line, without Node, web/node_modules
# (cd web && npm ci) or Chromium.
add_test(NAME viewer_page COMMAND ${CMAKE_SOURCE_DIR}/tests/viewer.sh page ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
set_tests_properties(viewer_page PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)
if(TARGET covary AND TARGET covary_verbs)
  add_test(NAME viewer_browser COMMAND ${CMAKE_SOURCE_DIR}/tests/viewer.sh browser ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
  set_tests_properties(viewer_browser PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900 RUN_SERIAL TRUE)
endif()
