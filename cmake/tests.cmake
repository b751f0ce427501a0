# Tests that are not C++ test programs: the tree's own rules, and Python programs that drive the real binaries. Those are
# found by name, tests/<kind>/<name>_test.py, and told where the binaries are by QUOIN_BUILD. A test that must be left out
# says so in a line that starts with SKIPPED, which tools/x test repeats at its end; exit code 77 leaves out a whole one.

set(QUOIN_PYTHON /usr/bin/python3 CACHE FILEPATH "The interpreter that has Debian's python3-* packages")

add_test(NAME tidy COMMAND ${QUOIN_PYTHON} ${CMAKE_SOURCE_DIR}/tools/tidy.py WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
add_test(NAME tidy_test COMMAND ${QUOIN_PYTHON} ${CMAKE_SOURCE_DIR}/tools/tidy_test.py WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
set_tests_properties(tidy tidy_test PROPERTIES TIMEOUT 60)

if(TARGET quoin)
  file(GLOB process_tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*_test.py ${CMAKE_SOURCE_DIR}/tests/*/*_test.py)
  foreach(t ${process_tests})
    file(RELATIVE_PATH name ${CMAKE_SOURCE_DIR}/tests ${t})
    string(REGEX REPLACE "\\.py$" "" name ${name})
    add_test(NAME tests/${name} COMMAND ${QUOIN_PYTHON} ${t} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(tests/${name} PROPERTIES TIMEOUT ${QUOIN_TEST_TIMEOUT} SKIP_RETURN_CODE 77 ENVIRONMENT "QUOIN_BUILD=${CMAKE_BINARY_DIR}")
  endforeach()
endif()
