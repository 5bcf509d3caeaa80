# One folder, one target, its outside library PRIVATE: pst_library() is the only way a folder becomes a library.
#
#   pst_library(io SOURCES ring.c … DEPENDS base … EXTERNAL PkgConfig::LIBURING)
#   pst_test(unit_io_ring LABEL unit SOURCES ring_test.c DEPENDS io …)
#
# Assertions must hold in release builds too: NDEBUG is never defined.

option(PENSTOCK_WERROR "Treat warnings as errors" OFF)
set(PENSTOCK_SANITIZE "" CACHE STRING "Value of -fsanitize= (address,undefined or thread)")

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_C_FLAGS_MINSIZEREL "-Os -g")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g -fno-omit-frame-pointer")
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
                    -Wvla -Wundef -Wpointer-arith -Wimplicit-fallthrough)
if(PENSTOCK_WERROR)
  add_compile_options(-Werror)
endif()
if(PENSTOCK_SANITIZE)
  add_compile_options(-fsanitize=${PENSTOCK_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${PENSTOCK_SANITIZE})
endif()

function(pst_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;EXTERNAL" ${ARGN})
  list(TRANSFORM ARG_DEPENDS PREPEND pst_)
  add_library(pst_${name} STATIC ${ARG_SOURCES})
  # The public headers are included as their users do: "penstock/…".
  target_include_directories(pst_${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/engine/include)
  target_compile_definitions(pst_${name} PRIVATE _GNU_SOURCE)
  if(NOT PENSTOCK_SANITIZE) # which makes frames larger
    target_compile_options(pst_${name} PRIVATE -Wframe-larger-than=131072) # PST_STACK_BYTES_MIN has room for eight
  endif()
  target_link_libraries(pst_${name} PUBLIC ${ARG_DEPENDS} PRIVATE ${ARG_EXTERNAL})
endfunction()

function(pst_executable name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;EXTERNAL" ${ARGN})
  list(TRANSFORM ARG_DEPENDS PREPEND pst_)
  add_executable(${name} ${ARG_SOURCES})
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} ${ARG_EXTERNAL})
endfunction()

# A test that cannot run here exits 77 and says why; CTest then reports a skip, not a pass.
function(pst_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SOURCES;DEPENDS;EXTERNAL;ARGUMENTS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  pst_executable(${name} SOURCES ${ARG_SOURCES} DEPENDS ${ARG_DEPENDS} EXTERNAL PkgConfig::CUNIT ${ARG_EXTERNAL})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  target_compile_definitions(${name} PRIVATE PST_TESTS_DIR="${PROJECT_SOURCE_DIR}/tests")
  add_test(NAME ${name} COMMAND ${name} ${ARG_ARGUMENTS})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}" SKIP_RETURN_CODE 77 TIMEOUT ${ARG_TIMEOUT})
endfunction()
