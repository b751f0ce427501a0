# `cmake --install`: the three programs, and the client library with its headers and a CMake package:
#   find_package(quoin)  →  target quoin::client  (and quoin::env_posix, the real clock, threads and sockets).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(install_folders base proto env env/posix rpc client)  # client and all that it is built of
set(install_targets)
foreach(folder ${install_folders})
  quoin_target_name(${folder} lib)
  string(REGEX REPLACE "^quoin_" "" name ${lib})
  set_target_properties(${lib} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(${lib} INTERFACE
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/quoin> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/quoin/proto>)
  list(APPEND install_targets ${lib})
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/src/${folder}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/quoin/${folder}
    FILES_MATCHING PATTERN "*.h" PATTERN testing EXCLUDE PATTERN posix EXCLUDE PATTERN sim EXCLUDE)
endforeach()
install(DIRECTORY ${CMAKE_BINARY_DIR}/gen/proto/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/quoin/proto FILES_MATCHING PATTERN "*.h")
install(FILES ${CMAKE_SOURCE_DIR}/src/env/posix/posix_env.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/quoin/env/posix)
install(TARGETS ${install_targets} EXPORT quoin ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT quoin NAMESPACE quoin:: FILE quoin-targets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/quoin)
file(WRITE ${CMAKE_BINARY_DIR}/quoin-config.cmake "include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(absl)
find_dependency(fmt)
find_dependency(OpenSSL)
find_dependency(ZLIB)
find_dependency(Boost 1.81)
include(\${CMAKE_CURRENT_LIST_DIR}/quoin-targets.cmake)
target_link_libraries(quoin::client INTERFACE quoin::env_posix)
")
write_basic_package_version_file(${CMAKE_BINARY_DIR}/quoin-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/quoin-config.cmake ${CMAKE_BINARY_DIR}/quoin-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/quoin)
install(TARGETS quoin quoinctl quoinutl RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
