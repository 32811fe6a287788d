# godwit_library(NAME [DEPS ...] [LINK ...] [SOURCES_DIRS ...])
#   src/NAME/*.cc become library godwit_NAME; src/NAME/*_test.cc become program NAME_test.
#   DEPS are Godwit layers, LINK are external libraries.
find_program(GODWIT_CCACHE ccache)
if(GODWIT_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${GODWIT_CCACHE})
endif()
find_program(GODWIT_MOLD mold)
if(GODWIT_MOLD)
  add_link_options(-fuse-ld=mold)
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_link_options(-fuse-ld=gold)
endif()

find_package(Threads REQUIRED)

add_library(godwit_flags INTERFACE)
# Ours alone: who links an installed library chooses warnings for themselves.
target_compile_options(godwit_flags INTERFACE
  $<BUILD_INTERFACE:-Wall> $<BUILD_INTERFACE:-Wextra> $<BUILD_INTERFACE:-Wpedantic>
  $<BUILD_INTERFACE:-Wconversion> $<BUILD_INTERFACE:-Wshadow> $<BUILD_INTERFACE:-fno-plt>
  $<BUILD_INTERFACE:$<$<BOOL:${GODWIT_WERROR}>:-Werror>>)
target_compile_features(godwit_flags INTERFACE cxx_std_20)
target_include_directories(godwit_flags INTERFACE
  $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/src> $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(godwit_flags INTERFACE Threads::Threads)

if(GODWIT_SANITIZE)
  add_compile_options(-fsanitize=${GODWIT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${GODWIT_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    # clang 14 cannot assemble its data in front of a coroutine.
    add_compile_options(-fno-sanitize=function)
  endif()
endif()

if(GODWIT_FUZZ)
  # Coverage of the libraries is what a fuzzer steers by.
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(GODWIT_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()

# Every program whose tests are labelled fast, and nothing else.
add_custom_target(fast_tests)

# godwit_test(NAME SOURCES ... [DEPS ...] [LABELS fast|slow] [TIMEOUT s])
function(godwit_test name)
  cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT GODWIT_TESTS)
    return()
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 60)
  endif()
  if(NOT A_LABELS)
    set(A_LABELS fast)
  endif()
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE godwit_flags ${A_DEPS} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test)
  if("fast" IN_LIST A_LABELS)
    add_dependencies(fast_tests ${name})
  endif()
  gtest_discover_tests(${name} TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST
    PROPERTIES LABELS "${A_LABELS}" TIMEOUT ${A_TIMEOUT})
endfunction()

function(godwit_library name)
  cmake_parse_arguments(A "" "" "DEPS;LINK;DIRS;TEST_DEPS" ${ARGN})
  set(dirs ${CMAKE_CURRENT_SOURCE_DIR})
  foreach(d ${A_DIRS})
    list(APPEND dirs ${CMAKE_CURRENT_SOURCE_DIR}/${d})
  endforeach()
  set(sources)
  set(tests)
  foreach(d ${dirs})
    file(GLOB found CONFIGURE_DEPENDS ${d}/*.cc)
    foreach(f ${found})
      if(f MATCHES "_test\\.cc$")
        list(APPEND tests ${f})
      elseif(NOT f MATCHES "_(bench|fuzz)\\.cc$")
        list(APPEND sources ${f})
      endif()
    endforeach()
  endforeach()
  list(TRANSFORM A_DEPS PREPEND godwit_)
  if(sources)
    add_library(godwit_${name} STATIC ${sources})
    target_link_libraries(godwit_${name} PUBLIC godwit_flags ${A_DEPS} ${A_LINK})
  else()
    add_library(godwit_${name} INTERFACE)
    target_link_libraries(godwit_${name} INTERFACE godwit_flags ${A_DEPS} ${A_LINK})
  endif()
  if(tests)
    godwit_test(${name}_test SOURCES ${tests} DEPS godwit_${name} ${A_TEST_DEPS})
  endif()
endfunction()

# godwit_man_page(TARGET COMPONENT "what it does"): a manual page made from the program's own --help.
function(godwit_man_page target component summary)
  set(page ${CMAKE_BINARY_DIR}/generated/${target}.1.gz)
  install(CODE "execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/help-to-man $<TARGET_FILE:${target}>
    ${PROJECT_VERSION} \"${summary}\" COMMAND gzip -9n OUTPUT_FILE \"${page}\" COMMAND_ERROR_IS_FATAL ANY)"
    COMPONENT ${component})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT ${component})
endfunction()

# godwit_scenarios(PREFIX [TIMEOUT s] [LABELS ...]): each test_NAME.py or NAME_test.py of this folder is a
# test PREFIX.NAME of the programs built here, whose paths it finds in its environment.
find_program(GODWIT_SYSTEM_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)
function(godwit_scenarios prefix)
  cmake_parse_arguments(A "" "TIMEOUT" "LABELS" ${ARGN})
  if(NOT GODWIT_SYSTEM_PYTHON OR NOT TARGET godwit OR NOT TARGET godwit-run OR NOT TARGET godwit-agent)
    return()
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 300)
  endif()
  file(GLOB scenarios CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/test_*.py
    ${CMAKE_CURRENT_SOURCE_DIR}/*_test.py)
  foreach(file ${scenarios})
    get_filename_component(name ${file} NAME_WE)
    string(REGEX REPLACE "^test_|_test$" "" name ${name})
    add_test(NAME ${prefix}.${name} COMMAND ${GODWIT_SYSTEM_PYTHON} -B ${file})
    set_tests_properties(${prefix}.${name} PROPERTIES LABELS "slow;${A_LABELS}" TIMEOUT ${A_TIMEOUT}
      ENVIRONMENT "GODWIT_BIN=$<TARGET_FILE:godwit>;GODWIT_RUN_BIN=$<TARGET_FILE:godwit-run>;GODWIT_AGENT_BIN=$<TARGET_FILE:godwit-agent>;GODWIT_BUILD=${CMAKE_BINARY_DIR}")
  endforeach()
endfunction()
