# SPDX-License-Identifier: MIT
# cmake -DMUTANT=FILE -DSOURCE=FILE -DOUTPUT=FILE -P mutate.cmake: the source with the changes of the mutant.
# A mutant says in its first lines what is broken and what that comes to, then "file: PATH", perhaps "aim: POINT" (chaos --aim), then one or more of
#
#   <<<<
#   lines that occur once in the source
#   ====
#   lines instead of them
#   >>>>
#
# Lines that are not there, or more than once, are an error: the source has changed, and the mutant has to follow.
file(READ ${MUTANT} rest)
file(READ ${SOURCE} text)
set(n_changes 0)
string(FIND "${rest}" "\n<<<<\n" begin)
while(begin GREATER -1)
  string(FIND "${rest}" "\n====\n" middle)
  string(FIND "${rest}" "\n>>>>" end)
  if(middle LESS begin OR end LESS middle)
    message(FATAL_ERROR "${MUTANT}: <<<<, ====, >>>> do not follow each other")
  endif()
  math(EXPR old_begin "${begin} + 6")
  math(EXPR old_length "${middle} - ${old_begin}")
  math(EXPR new_begin "${middle} + 6")
  math(EXPR new_length "${end} - ${new_begin}")
  string(SUBSTRING "${rest}" ${old_begin} ${old_length} old)
  set(new "")
  if(new_length GREATER 0)
    string(SUBSTRING "${rest}" ${new_begin} ${new_length} new)
  endif()
  string(FIND "${text}" "${old}" first)
  string(FIND "${text}" "${old}" last REVERSE)
  if(first EQUAL -1 OR NOT first EQUAL last)
    message(FATAL_ERROR "${MUTANT}: these lines are not in ${SOURCE}, or more than once:\n${old}")
  endif()
  string(REPLACE "${old}" "${new}" text "${text}")
  math(EXPR n_changes "${n_changes} + 1")
  math(EXPR next "${end} + 5")
  string(SUBSTRING "${rest}" ${next} -1 rest)
  set(rest "\n${rest}")
  string(FIND "${rest}" "\n<<<<\n" begin)
endwhile()
if(n_changes EQUAL 0)
  message(FATAL_ERROR "${MUTANT}: it changes nothing")
endif()
file(WRITE ${OUTPUT} "${text}")
