# VJ_REQUIRED(NAME, MODULE, DEBIAN-PACKAGE, PURPOSE): a library the build cannot do without.
AC_DEFUN([VJ_REQUIRED], [
  PKG_CHECK_MODULES([$1], [$2], [VJ_FEATURES="$VJ_FEATURES
  m4_format([%-10s], [$1]) yes       $4"],
    [AC_MSG_ERROR([$2 is missing ($4); on Debian: apt-get install $3])])
])

# VJ_FEATURE_TABLE: what this build has, as the last thing configure prints.
AC_DEFUN([VJ_FEATURE_TABLE], [
  AS_ECHO(["
$PACKAGE_NAME $PACKAGE_VERSION
$VJ_FEATURES

  prefix     $prefix
  plugins    $pluginsdir
  sanitizers ${enable_sanitize:-no}
"])
])
