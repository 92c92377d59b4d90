# VJ_OPENBLAS: the compute plugin `openblas`; optional, the plain-C reference serves without it.
AC_DEFUN([VJ_OPENBLAS], [
  AC_ARG_WITH([openblas], [AS_HELP_STRING([--without-openblas], [leave the openblas compute plugin out])])
  have_openblas=no
  AS_IF([test "x$with_openblas" != xno], [
    PKG_CHECK_MODULES([OPENBLAS], [openblas], [have_openblas=yes], [have_openblas=no])
  ])
  AM_CONDITIONAL([HAVE_OPENBLAS], [test $have_openblas = yes])
  VJ_FEATURES="$VJ_FEATURES
  OPENBLAS   $have_openblas       matrix products on the CPU (libopenblas-dev)"
])
