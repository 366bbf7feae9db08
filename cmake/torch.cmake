# libtorch as an imported target of our own. find_package(Torch) is not used: its inner look-ups search system
# folders first and could pick up a distribution's older libtorch.
#
# Where it is looked for: -DCOVARY_TORCH=DIR, the variable COVARY_TORCH, the file .covary-torch that
# scripts/bootstrap writes. DIR holds include/ and lib/.
if(NOT COVARY_TORCH)
  if(DEFINED ENV{COVARY_TORCH})
    set(COVARY_TORCH $ENV{COVARY_TORCH})
  elseif(EXISTS ${CMAKE_SOURCE_DIR}/.covary-torch)
    file(STRINGS ${CMAKE_SOURCE_DIR}/.covary-torch COVARY_TORCH LIMIT_COUNT 1)
  endif()
endif()
if(NOT EXISTS "${COVARY_TORCH}/include/ATen/ATen.h")
  message(FATAL_ERROR "libtorch not found (COVARY_TORCH='${COVARY_TORCH}'). Run scripts/bootstrap, or set COVARY_TORCH to a folder with include/ and lib/.")
endif()
foreach(l c10 torch_cpu)
  find_library(COVARY_LIB_${l} ${l} PATHS "${COVARY_TORCH}/lib" NO_DEFAULT_PATH REQUIRED)
  add_library(covary_ext_${l} SHARED IMPORTED GLOBAL)
  set_target_properties(covary_ext_${l} PROPERTIES IMPORTED_LOCATION "${COVARY_LIB_${l}}")
endforeach()
# The wheel's own OpenMP runtime: linking any other would give the process two thread pools.
file(GLOB COVARY_GOMP_FILES "${COVARY_TORCH}/lib/libgomp*.so*" "${COVARY_TORCH}/../torch.libs/libgomp*.so*")
list(LENGTH COVARY_GOMP_FILES n)
if(n EQUAL 0)
  message(FATAL_ERROR "no libgomp beside libtorch in ${COVARY_TORCH}/lib")
endif()
list(GET COVARY_GOMP_FILES 0 COVARY_LIB_gomp)
add_library(covary_ext_gomp SHARED IMPORTED GLOBAL)
set_target_properties(covary_ext_gomp PROPERTIES IMPORTED_LOCATION "${COVARY_LIB_gomp}" IMPORTED_NO_SONAME OFF)
add_library(covary_torch INTERFACE)
target_include_directories(covary_torch SYSTEM INTERFACE
  ${COVARY_TORCH}/include ${COVARY_TORCH}/include/torch/csrc/api/include)
target_link_libraries(covary_torch INTERFACE covary_ext_torch_cpu covary_ext_c10)
