# `make package`: Debian packages of what `cmake --install` installs, one per component, plus units,
# configuration and what Debian asks for.
set(deb ${CMAKE_SOURCE_DIR}/deploy/debian)
set(doc share/doc)

foreach(pair server:godwit run:godwit-run agent:godwit-agent library:libgodwit-dev
    shared:libgodwit-metrics0 python:python3-godwit-metrics)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 component)
  list(GET pair 1 package)
  install(FILES ${deb}/copyright DESTINATION ${doc}/${package} COMPONENT ${component})
  install(CODE "execute_process(COMMAND gzip -9nc ${deb}/changelog
    OUTPUT_FILE ${CMAKE_BINARY_DIR}/generated/changelog.gz COMMAND_ERROR_IS_FATAL ANY)" COMPONENT ${component})
  install(FILES ${CMAKE_BINARY_DIR}/generated/changelog.gz DESTINATION ${doc}/${package} COMPONENT ${component})
  if(EXISTS ${deb}/${package}.lintian-overrides)
    install(FILES ${deb}/${package}.lintian-overrides DESTINATION share/lintian/overrides
      RENAME ${package} COMPONENT ${component})
  endif()
  string(TOUPPER ${component} C)
  set(CPACK_DEBIAN_${C}_PACKAGE_NAME ${package})
  set(control)
  foreach(part conffiles postinst prerm postrm)
    if(EXISTS ${deb}/${package}/${part})
      list(APPEND control ${deb}/${package}/${part})
    endif()
  endforeach()
  set(CPACK_DEBIAN_${C}_PACKAGE_CONTROL_EXTRA "${control}")
endforeach()

# Units and /etc name /usr/bin: they belong to the packages, not to `make install`, which leaves out
# what is EXCLUDE_FROM_ALL.
set(systemd ${CMAKE_SOURCE_DIR}/deploy/systemd)
install(FILES ${systemd}/godwit.service DESTINATION /lib/systemd/system COMPONENT server EXCLUDE_FROM_ALL)
install(FILES ${systemd}/godwit-agent.service DESTINATION /lib/systemd/system COMPONENT agent EXCLUDE_FROM_ALL)
install(FILES ${CMAKE_SOURCE_DIR}/deploy/etc/godwit.ini ${CMAKE_SOURCE_DIR}/deploy/etc/godwit-run.conf
  DESTINATION /etc/godwit COMPONENT server EXCLUDE_FROM_ALL)
install(FILES ${CMAKE_SOURCE_DIR}/deploy/etc/agent.ini DESTINATION /etc/godwit COMPONENT agent EXCLUDE_FROM_ALL)
install(FILES ${CMAKE_SOURCE_DIR}/deploy/nginx/godwit.conf
  ${CMAKE_SOURCE_DIR}/deploy/prometheus/alerts.yml ${CMAKE_SOURCE_DIR}/deploy/grafana/godwit.json
  DESTINATION ${doc}/godwit/examples COMPONENT server EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME godwit)
set(CPACK_PACKAGE_VENDOR Godwit)
set(CPACK_PACKAGE_CONTACT "Godwit <godwit@example.org>")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
# What is packaged was built before.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
set(CPACK_COMPONENTS_ALL server run agent library shared python)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEBIAN_SERVER_PACKAGE_SECTION database)
set(CPACK_DEBIAN_SERVER_PACKAGE_DEPENDS "godwit-run, adduser")
set(CPACK_DEBIAN_SERVER_PACKAGE_RECOMMENDS godwit-agent)
set(CPACK_COMPONENT_SERVER_DESCRIPTION "JSON storage server that speaks Kinto's HTTP API
 One native program that stores JSON for applications that sync, in an SQLite
 file or on PostgreSQL, with permissions, history, schemas and accounts. It
 reads the configuration and the database of a Kinto server. Reloads and
 upgrades are made by godwit-run and fail no request.")
set(CPACK_DEBIAN_RUN_PACKAGE_SECTION admin)
set(CPACK_COMPONENT_RUN_DESCRIPTION "reloads any service without a failed request
 A supervisor for one command or several: it owns their sockets, starts a new
 generation beside the old one, probes it through an address only the new one
 answers, moves all new connections in one system call, and rolls back.")
set(CPACK_DEBIAN_AGENT_PACKAGE_SECTION admin)
# Loaded by the first publisher that speaks HTTP.
set(CPACK_DEBIAN_AGENT_PACKAGE_DEPENDS "libcurl4, adduser")
set(CPACK_COMPONENT_AGENT_DESCRIPTION "receives metrics and publishes them without losing one
 Takes metrics from a durable spool, from Redis, StatsD and HTTP, and publishes
 them to InfluxDB, Prometheus, OTLP or StatsD, each with a durable cursor.")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_DEPENDS "libgodwit-metrics0 (>= ${PROJECT_VERSION}), libssl-dev, zlib1g-dev")
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "HTTP server and metrics libraries of Godwit
 godwit::http, an evented HTTP server library for C++20, and godwit::metrics,
 counters and timers that survive the death of the process, with an interface
 for C and a module for Python. For find_package(godwit) and pkg-config.")
set(CPACK_DEBIAN_SHARED_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_SHARED_DESCRIPTION "metrics library of Godwit, for programs in any language
 The shared form of godwit::metrics, with an interface for C: counters and
 timers that survive the death of the process.")
set(CPACK_DEBIAN_PYTHON_PACKAGE_SECTION python)
set(CPACK_DEBIAN_PYTHON_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_PYTHON_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS "python3, libgodwit-metrics0")
set(CPACK_COMPONENT_PYTHON_DESCRIPTION "metrics client of Godwit for Python
 Counters and timers that survive the death of the process, with the names of
 Kadabra's client and middleware for WSGI and Flask.")
include(CPack)
