# Writes FILE: a hash of the SOURCES, and of HOW they are compiled, which tells one build from another.
set(hashes "${HOW}")
foreach(source ${SOURCES})
  file(SHA256 ${source} hash)
  string(APPEND hashes " ${hash}")
endforeach()
string(SHA256 build "${hashes}")
file(CONFIGURE OUTPUT ${FILE} CONTENT [[
#include "net/module/net_module.h"

const char pst_net_build[] = "penstock @build@";
]] @ONLY)
