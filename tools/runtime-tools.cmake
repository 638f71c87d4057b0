# The tools that need no LLVM.
find_path(CLI11_INCLUDE_DIR CLI/CLI.hpp REQUIRED)
mark_as_advanced(CLI11_INCLUDE_DIR)
find_package(Threads REQUIRED)

# What they share.
add_library(KerfToolSupport STATIC
  runtime-support/CommandLine.cpp runtime-support/EventLog.cpp runtime-support/Handles.cpp
  runtime-support/Interrupt.cpp runtime-support/Json.cpp
  runtime-support/Progress.cpp runtime-support/Report.cpp runtime-support/Text.cpp)
target_include_directories(KerfToolSupport SYSTEM PUBLIC ${CLI11_INCLUDE_DIR})

# kerf_runtime_tool(NAME sources… LINK targets…): an installed program of the runtime.
function(kerf_runtime_tool name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE KerfToolSupport ${ARG_LINK})
  set_target_properties(${name} PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
endfunction()

add_subdirectory(kerf-run)
add_subdirectory(kerf-bench)
add_subdirectory(kerf-inspect)
