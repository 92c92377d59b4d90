# VJ_SANITIZE: --enable-sanitize builds everything with ASan and UBSan.
AC_DEFUN([VJ_SANITIZE], [
  AC_ARG_ENABLE([sanitize], [AS_HELP_STRING([--enable-sanitize], [build with AddressSanitizer and UBSan])])
  AS_IF([test "x$enable_sanitize" = xyes], [
    VJ_SANITIZE_FLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g"
    AC_DEFINE([VJ_SANITIZED], [1], [Built with sanitizers])
  ])
  AC_SUBST([VJ_SANITIZE_FLAGS])
  AM_CONDITIONAL([SANITIZED], [test "x$enable_sanitize" = xyes])
])
