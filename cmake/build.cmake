# Compile and link options shared by every target of ours. Warnings become errors in the presets only, so
# that a newer compiler never breaks somebody's plain build.
add_library(claude_init_build INTERFACE)
target_compile_options(claude_init_build INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  -ffunction-sections -fdata-sections)
target_compile_definitions(claude_init_build INTERFACE
  _GNU_SOURCE
  BOOST_ASIO_DISABLE_THREADS       # the loop is the main thread's alone: no locks, no thread-local lookups
  BOOST_ASIO_NO_DEPRECATED
  BOOST_FILESYSTEM_NO_DEPRECATED)
target_link_options(claude_init_build INTERFACE -Wl,--gc-sections)

# claude_init_library(NAME SOURCES... DEPENDS...): one static library a folder. Dependencies point downwards
# only: a library may name none that names it.
function(claude_init_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(claude_init_${name} STATIC ${ARG_SOURCES})
  target_include_directories(claude_init_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(claude_init_${name} PUBLIC claude_init_build)
  foreach(dependency IN LISTS ARG_DEPENDS)
    target_link_libraries(claude_init_${name} PUBLIC claude_init_${dependency})
  endforeach()
endfunction()
