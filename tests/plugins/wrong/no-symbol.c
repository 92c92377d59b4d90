/* A shared object that is no plugin. */
int a_function (void);
int
a_function (void)
{
  return 1;
}
