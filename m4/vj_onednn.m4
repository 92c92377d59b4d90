# VJ_ONEDNN: oneDNN, optional: the bench measures against its matrix products.
AC_DEFUN([VJ_ONEDNN], [
  AC_ARG_WITH([onednn], [AS_HELP_STRING([--without-onednn], [do without oneDNN])])
  have_onednn=no
  AS_IF([test "x$with_onednn" != xno], [
    AC_CHECK_HEADER([oneapi/dnnl/dnnl.h], [AC_CHECK_LIB([dnnl], [dnnl_matmul_desc_init], [have_onednn=yes])])
  ])
  AS_IF([test $have_onednn = yes], [ONEDNN_LIBS=-ldnnl])
  AC_SUBST([ONEDNN_LIBS])
  AM_CONDITIONAL([HAVE_ONEDNN], [test $have_onednn = yes])
  VJ_FEATURES="$VJ_FEATURES
  ONEDNN     $have_onednn       the bench's measure of matrix products (libdnnl-dev)"
])
