# Everything comes from Debian's packages. Debian ships libfmt as a shared library only, so src/base/fmt.cpp
# compiles it from its headers; Boost.Process and Boost.Asio are headers, Boost.Filesystem and libsodium are linked from
# their archives.
set(Boost_USE_STATIC_LIBS ON)
set(Boost_NO_WARN_NEW_VERSIONS ON)
find_package(Boost 1.81 REQUIRED CONFIG COMPONENTS filesystem)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_library(SODIUM_ARCHIVE libsodium.a REQUIRED)
find_path(SODIUM_INCLUDE sodium.h REQUIRED)
add_library(sodium INTERFACE)
target_link_libraries(sodium INTERFACE ${SODIUM_ARCHIVE})
target_include_directories(sodium SYSTEM INTERFACE ${SODIUM_INCLUDE})
