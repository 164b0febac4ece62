# Compile and link options shared by every target of ours. Warnings become errors in the presets only, so
# that a newer compiler never breaks somebody's plain build.
add_library(claude_init_build INTERFACE)
target_compile_options(claude_init_build INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  -ffunction-sections -fdata-sections)
target_compile_definitions(claude_init_build INTERFACE
  _GNU_SOURCE
  BOOST_ASIO_DISABLE_THREADS       # one thread only: no locks, no thread-local lookups
  BOOST_ASIO_NO_DEPRECATED
  BOOST_FILESYSTEM_NO_DEPRECATED)
target_link_options(claude_init_build INTERFACE -Wl,--gc-sections)

# Parsing these takes most of the time of compiling a file. The preset `dev` does it once; `release` and `fuzz` do not,
# so that a file which forgets to include what it uses is found out.
option(CLAUDE_INIT_PRECOMPILED_HEADERS "Parse the headers that most files include once" OFF)
set(claude_init_usual_headers
  <algorithm> <array> <cerrno> <chrono> <functional> <map> <memory> <optional> <string> <string_view> <utility> <variant>
  <vector> <boost/asio/io_context.hpp> <boost/asio/steady_timer.hpp> <fmt/format.h>)

# claude_init_precompile(TARGET HEADERS...): parsed once for its files.
function(claude_init_precompile target)
  if(CLAUDE_INIT_PRECOMPILED_HEADERS)
    target_precompile_headers(${target} PRIVATE ${claude_init_usual_headers} ${ARGN})
  endif()
endfunction()

if(CLAUDE_INIT_PRECOMPILED_HEADERS)
  file(WRITE ${PROJECT_BINARY_DIR}/precompiled.cpp "")
  add_library(claude_init_precompiled OBJECT ${PROJECT_BINARY_DIR}/precompiled.cpp)
  target_link_libraries(claude_init_precompiled PRIVATE claude_init_build)
  claude_init_precompile(claude_init_precompiled)
endif()

# claude_init_library(NAME SOURCES... DEPENDS...): one static library a folder. Dependencies point downwards
# only: a library may name none that names it.
function(claude_init_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(claude_init_${name} STATIC ${ARG_SOURCES})
  target_include_directories(claude_init_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(claude_init_${name} PUBLIC claude_init_build)
  if(CLAUDE_INIT_PRECOMPILED_HEADERS)
    target_precompile_headers(claude_init_${name} REUSE_FROM claude_init_precompiled)
  endif()
  foreach(dependency IN LISTS ARG_DEPENDS)
    target_link_libraries(claude_init_${name} PUBLIC claude_init_${dependency})
  endforeach()
endfunction()
