# SPDX-License-Identifier: MIT
# What `cmake --install` puts where. The tree may be moved afterwards: pkg-config file, CMake package and the
# command find what they need from where they lie.
include(CMakePackageConfigHelpers)

# One version, in two places.
file(STRINGS ${PROJECT_SOURCE_DIR}/include/forkmap/forkmap.h header_version REGEX "#define FM_VERSION ")
string(FIND "${header_version}" "#define FM_VERSION \"${PROJECT_VERSION}\"" at)
if(NOT at EQUAL 0)
  message(FATAL_ERROR "forkmap.h says ${header_version}, and CMakeLists.txt ${PROJECT_VERSION}")
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/forkmap)
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pc_to_prefix "/prefix/${pkgconfig_dir}" /prefix)
string(REGEX REPLACE "/$" "" pc_to_prefix "${pc_to_prefix}")

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/forkmap TYPE INCLUDE FILES_MATCHING PATTERN "*.h")
install(TARGETS forkmap EXPORT forkmapShared)
install(TARGETS forkmap_archive EXPORT forkmapStatic)
set_target_properties(forkmap_cli PROPERTIES INSTALL_RPATH "$ORIGIN/${bin_to_lib}")
install(TARGETS forkmap_cli)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/kernels/data/ DESTINATION ${CMAKE_INSTALL_DATADIR}/forkmap)
foreach(section 1 3 5 7)
  file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/*.${section})
  install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

# Not Requires.private: that would ask for hwloc's files where only libforkmap.so is used, and for the libraries behind
# hwloc (-ludev, which Debian's libhwloc-dev does not bring), which only a program linked wholly static needs.
list(JOIN HWLOC_LDFLAGS " " hwloc_flags)
list(JOIN NETTLE_LDFLAGS " " nettle_flags)
configure_file(${CMAKE_CURRENT_LIST_DIR}/forkmap.pc.in forkmap.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/forkmap.pc DESTINATION ${pkgconfig_dir})

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/forkmapConfig.cmake.in forkmapConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
# Before 1.0 a new minor version may break what was.
write_basic_package_version_file(forkmapConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/forkmapConfig.cmake ${PROJECT_BINARY_DIR}/forkmapConfigVersion.cmake
        DESTINATION ${package_dir})
install(EXPORT forkmapShared NAMESPACE forkmap:: DESTINATION ${package_dir})
install(EXPORT forkmapStatic NAMESPACE forkmap:: DESTINATION ${package_dir})
