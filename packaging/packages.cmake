# What is installed, and the Debian package that is made of it: `cmake --install`, `cpack`. scripts/release.sh makes a
# release of it, with the archive for everybody else.
if(NOT EXISTS ${PROJECT_SOURCE_DIR}/man)
  return()  # where only the binary is compiled, as in the images
endif()
find_program(GZIP gzip REQUIRED)

# packed(FILE DIRECTORY): installed there without a time in it, as Debian has manuals and changelogs.
function(packed file directory)
  cmake_path(GET file FILENAME name)
  set(output ${PROJECT_BINARY_DIR}/packed/${name}.gz)
  add_custom_command(OUTPUT ${output} DEPENDS ${file} VERBATIM
    COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/packed
    COMMAND sh -c "gzip -9nc \"$1\" >\"$2\"" sh ${file} ${output})
  set_property(GLOBAL APPEND PROPERTY CLAUDE_INIT_PACKED ${output})
  install(FILES ${output} DESTINATION ${directory})
endfunction()

# Of a domain that is nobody's (RFC 2606): whoever publishes packages writes an address that is read.
set(maintainer "claude-init maintainers <maintainers@claude-init.example>")
set(doc ${CMAKE_INSTALL_DATADIR}/doc/claude-init)
set(run ${CMAKE_INSTALL_LIBEXECDIR}/claude-init)
file(GLOB manuals CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/man/*.1)
foreach(manual IN LISTS manuals)
  packed(${manual} ${CMAKE_INSTALL_MANDIR}/man1)
endforeach()
packed(${PROJECT_SOURCE_DIR}/CHANGELOG.md ${doc})
install(FILES README.md DESTINATION ${doc})
install(FILES packaging/copyright DESTINATION ${doc})
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)  # SOURCE_DATE_EPOCH, where that is set
configure_file(packaging/changelog.in ${PROJECT_BINARY_DIR}/changelog @ONLY)
packed(${PROJECT_BINARY_DIR}/changelog ${doc})
install(FILES packaging/lintian-overrides RENAME claude-init DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides)

install(FILES completions/claude-init.bash RENAME claude-init
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES completions/claude-init.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
# Where zsh looks by itself: Debian's packages, and everybody else's in /usr/local.
set(zsh site-functions)
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set(zsh vendor-completions)
endif()
install(FILES completions/_claude-init DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/${zsh})

install(PROGRAMS deploy/hooks/webhook deploy/hooks/kubernetes-secret DESTINATION ${run}/hooks)
install(FILES deploy/systemd/claude-init-keep@.service DESTINATION lib/systemd/system)
install(FILES deploy/systemd/seal-key.conf DESTINATION ${doc}/examples/deploy/systemd)
install(FILES compose.yaml DESTINATION ${doc}/examples)
install(DIRECTORY examples/ DESTINATION ${doc}/examples)
install(DIRECTORY deploy/compose deploy/env deploy/gateway deploy/kubernetes deploy/prometheus USE_SOURCE_PERMISSIONS
  DESTINATION ${doc}/examples/deploy PATTERN seal-key EXCLUDE)

# The package. The times of its files are SOURCE_DATE_EPOCH, where that is set.
set(CPACK_PACKAGE_NAME claude-init)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "${maintainer}")
set(CPACK_STRIP_FILES OFF)  # the preset has stripped it
set(CPACK_GENERATOR DEB)
set(CPACK_VERBATIM_VARIABLES ON)

# As Debian calls it.
set(architecture ${CMAKE_SYSTEM_PROCESSOR})
string(REGEX REPLACE "^x86_64$" "amd64" architecture ${architecture})
string(REGEX REPLACE "^aarch64$" "arm64" architecture ${architecture})
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE ${architecture})
set(CPACK_DEBIAN_FILE_NAME claude-init_${PROJECT_VERSION}_${architecture}.deb)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "curl, jq")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "one Claude login for any number of containers")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Logs in to Claude Code once, keeps that login alive, and gives each container
a private copy of it without the refresh token. In a container it is PID 1:
signals, zombies and the terminal work. One static binary without dependencies.")
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
include(CPack)

get_property(packed_files GLOBAL PROPERTY CLAUDE_INIT_PACKED)
add_custom_target(packed ALL DEPENDS ${packed_files})
