# `cmake --install`: the libraries users link, for find_package(godwit) and pkg-config.
include(CMakePackageConfigHelpers)

foreach(lib base net http)
  set_target_properties(godwit_${lib} PROPERTIES EXPORT_NAME ${lib})
  add_library(godwit::${lib} ALIAS godwit_${lib})
endforeach()
set_target_properties(godwit_flags PROPERTIES EXPORT_NAME flags)
install(TARGETS godwit_flags godwit_base godwit_net godwit_http EXPORT godwitTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/godwit DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  COMPONENT library FILES_MATCHING PATTERN "*.h")

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/godwit)
install(EXPORT godwitTargets NAMESPACE godwit:: DESTINATION ${config_dir} COMPONENT library)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/godwitConfig.cmake.in
  ${CMAKE_BINARY_DIR}/godwitConfig.cmake INSTALL_DESTINATION ${config_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/godwitConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/godwitConfig.cmake ${CMAKE_BINARY_DIR}/godwitConfigVersion.cmake
  DESTINATION ${config_dir} COMPONENT library)

file(RELATIVE_PATH GODWIT_PC_INCLUDE /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig
  /p/${CMAKE_INSTALL_INCLUDEDIR})
configure_file(${CMAKE_CURRENT_LIST_DIR}/godwit.pc.in ${CMAKE_BINARY_DIR}/godwit.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/godwit.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
  COMPONENT library)
