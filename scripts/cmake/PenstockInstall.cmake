# What `cmake --install build/release [--prefix DIR]` installs: the programs with their module, the library with its
# headers and its pkg-config file, the licence, the documentation, manual pages and completion, the systemd unit. scripts/build
# builds all of it.
install(TARGETS penstock penstock-bench RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS penstock_net LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/penstock) # which penstock loads, from its own place
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)

install(TARGETS libpenstock LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_BINARY_DIR}/lib/libpenstock.a DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY engine/include/penstock DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)
# The installation may be moved, and cmake --install may be given another prefix.
file(RELATIVE_PATH PENSTOCK_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" PENSTOCK_PC_PREFIX "${PENSTOCK_PC_PREFIX}")
configure_file(engine/api/penstock.pc.in ${CMAKE_BINARY_DIR}/lib/penstock.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/lib/penstock.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# The units name the program where it is installed, which cmake --install --prefix decides.
set(units "${CMAKE_BINARY_DIR}/units")
install(CODE "set(PENSTOCK_BINDIR \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
set(PENSTOCK_DOCDIR \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DOCDIR}\")
foreach(unit penstock@ penstock-backup@)
  configure_file(\"${PROJECT_SOURCE_DIR}/scripts/\${unit}.service.in\" \"${units}/\${unit}.service\" @ONLY)
endforeach()")
install(DIRECTORY ${units}/ DESTINATION lib/systemd/system)
install(FILES scripts/penstock-backup@.timer DESTINATION lib/systemd/system)
install(FILES scripts/penstock.sysusers DESTINATION lib/sysusers.d RENAME penstock.conf)
install(FILES scripts/penstock.tmpfiles DESTINATION lib/tmpfiles.d RENAME penstock.conf)
install(PROGRAMS scripts/setup-host DESTINATION ${CMAKE_INSTALL_SBINDIR} RENAME penstock-setup-host)

# Manual pages and completion.
set(pages ${CMAKE_BINARY_DIR}/pages)
set(setup_host ${PROJECT_SOURCE_DIR}/scripts/setup-host)
add_custom_command(
  OUTPUT ${pages}/penstock.bash ${pages}/_penstock
  COMMAND ${PROJECT_SOURCE_DIR}/scripts/make-pages $<TARGET_FILE:penstock_pages> $<TARGET_FILE:penstock-bench> ${setup_host} ${PROJECT_VERSION}
          ${pages}/man ${pages}/penstock.bash ${pages}/_penstock
  DEPENDS penstock_pages penstock-bench ${setup_host} ${PROJECT_SOURCE_DIR}/scripts/make-pages VERBATIM)
add_custom_target(pages ALL DEPENDS ${pages}/penstock.bash ${pages}/_penstock)
install(DIRECTORY ${pages}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR})
install(FILES ${pages}/penstock.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME penstock)
install(FILES ${pages}/_penstock DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
