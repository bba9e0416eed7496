# SPDX-License-Identifier: MIT
# libforkmap.a for the world outside: one object, in which the floors are joined and, in a release, optimised
# as one program, as in libforkmap.so. It has machine code only, so any compiler can link it, and its global
# names are those of the public headers, so no name of a program can meet one of ours.
set(archive_flags -r -nostdlib -fPIC)
if(optimise_whole)
  separate_arguments(release_flags UNIX_COMMAND "${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_RELEASE}")
  list(APPEND archive_flags ${release_flags} -flto=auto -flinker-output=nolto-rel)
endif()
set(joined ${PROJECT_BINARY_DIR}/forkmap_joined.o)
set(whole ${PROJECT_BINARY_DIR}/forkmap_whole.o)
add_custom_command(
  OUTPUT ${whole}
  COMMAND ${CMAKE_C_COMPILER} ${archive_flags} -o ${joined} ${floor_objects}
  COMMAND ${CMAKE_OBJCOPY} --wildcard "--keep-global-symbol=fm_*" ${joined} ${whole}
  COMMAND ${CMAKE_COMMAND} -E rm -f ${joined}
  DEPENDS ${floor_objects}
  COMMENT "Joining the floors for libforkmap.a"
  COMMAND_EXPAND_LISTS VERBATIM)
add_library(forkmap_archive STATIC ${whole})
# The objects are named by DEPENDS, but with Makefiles only targets can wait for other targets.
foreach(floor IN LISTS FORKMAP_FLOORS)
  add_dependencies(forkmap_archive floor_${floor})
endforeach()
set_source_files_properties(${whole} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
set_target_properties(forkmap_archive PROPERTIES LINKER_LANGUAGE C OUTPUT_NAME forkmap
                                                 EXPORT_NAME forkmap_static)
target_include_directories(forkmap_archive INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(forkmap_archive INTERFACE PkgConfig::HWLOC PkgConfig::NETTLE -pthread ${CMAKE_DL_LIBS} m)
