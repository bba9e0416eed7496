# SPDX-License-Identifier: MIT
# cmake -DPAGES=FOLDER -P keep_function_pages.cmake: of Doxygen's manual pages, keeps those of functions, types and parts (fm_*). It
# makes others of members and constants, address.3 and the like, which belong to nobody, and some that lead nowhere.
file(GLOB pages ${PAGES}/*.3)
foreach(page IN LISTS pages)
  get_filename_component(name ${page} NAME)
  file(READ ${page} text)
  if(NOT name MATCHES "^fm_" OR (text MATCHES "^[.]so man3/([^\n]+)" AND NOT EXISTS ${PAGES}/${CMAKE_MATCH_1}))
    file(REMOVE ${page})
  endif()
endforeach()
