// Nothing: CMake compiles precompiled.h beside it.
