# Compile and link options shared by every target of ours. Warnings become errors in the presets only, so
# that a newer compiler never breaks somebody's plain build.
add_library(claude_init_build INTERFACE)
target_compile_options(claude_init_build INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  -ffunction-sections -fdata-sections)
# A release's bytes do not depend on where it was built.
target_compile_options(claude_init_build INTERFACE
  $<$<CONFIG:MinSizeRel>:-ffile-prefix-map=${PROJECT_SOURCE_DIR}=. -ffile-prefix-map=${PROJECT_BINARY_DIR}=build>)
target_compile_definitions(claude_init_build INTERFACE
  _GNU_SOURCE
  BOOST_ASIO_DISABLE_THREADS       # the loop is the main thread's alone: no locks, no thread-local lookups
  BOOST_ASIO_DISABLE_BOOST_DATE_TIME  # its older timers, which we do not use and which take a second to read
  BOOST_ASIO_NO_DEPRECATED
  BOOST_FILESYSTEM_NO_DEPRECATED)
target_link_options(claude_init_build INTERFACE -Wl,--gc-sections)

# Where sources are compiled together (CMAKE_UNITY_BUILD), the headers that most of them include are read once, too.
# What a target defines for itself must mean nothing to them.
if(CMAKE_UNITY_BUILD)
  add_library(claude_init_precompiled OBJECT cmake/precompiled.cpp)
  target_link_libraries(claude_init_precompiled PRIVATE
    claude_init_build nlohmann_json::nlohmann_json Boost::headers)
  target_precompile_headers(claude_init_precompiled PRIVATE ${PROJECT_SOURCE_DIR}/cmake/precompiled.h)
endif()

# claude_init_precompiles(TARGET [OTHER]): with those headers, or with those of OTHER.
function(claude_init_precompiles target)
  if(CMAKE_UNITY_BUILD)
    if(NOT ARGN)
      set(ARGN claude_init_precompiled)
    endif()
    target_precompile_headers(${target} REUSE_FROM ${ARGN})
  endif()
endfunction()

# claude_init_library(NAME SOURCES... DEPENDS...): one static library a folder. Dependencies point downwards
# only: a library may name none that names it.
function(claude_init_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(claude_init_${name} STATIC ${ARG_SOURCES})
  target_include_directories(claude_init_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(claude_init_${name} PUBLIC claude_init_build)
  claude_init_precompiles(claude_init_${name})
  foreach(dependency IN LISTS ARG_DEPENDS)
    target_link_libraries(claude_init_${name} PUBLIC claude_init_${dependency})
  endforeach()
endfunction()
