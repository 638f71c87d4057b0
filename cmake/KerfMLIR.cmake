# Finds the packaged MLIR and offers the two ways Kerf's compiler-side targets are made.
find_package(MLIR 22.1 REQUIRED CONFIG)
option(MLIR_LINK_MLIR_DYLIB "Link the shared libMLIR" ON)
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)
include_directories(SYSTEM ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
find_package(simdjson REQUIRED CONFIG)

# kerf_compiler_library(NAME sources... [DEPENDS targets] [LINK targets] [MLIR upstream libraries])
# A static library that may use MLIR and LLVM (shared) and, like them, has neither RTTI nor exceptions.
function(kerf_compiler_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LINK;MLIR" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  kerf_compiler_target(${name} DEPENDS ${ARG_DEPENDS} LINK ${ARG_LINK} MLIR ${ARG_MLIR})
endfunction()

# kerf_compiler_target(NAME …): the same settings for an existing target (tool or test).
function(kerf_compiler_target name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LINK;MLIR" ${ARGN})
  target_include_directories(${name} SYSTEM PUBLIC ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
  target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-rtti -fno-exceptions>)
  separate_arguments(definitions NATIVE_COMMAND "${LLVM_DEFINITIONS}")
  target_compile_definitions(${name} PRIVATE ${definitions})
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
  target_link_libraries(${name} PUBLIC ${ARG_LINK} LLVM)
  mlir_target_link_libraries(${name} PUBLIC MLIRIR ${ARG_MLIR})
  # Debian's libMLIR lies where the loader does not look.
  set_target_properties(${name} PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
endfunction()
