"""The stub program: ``python -I -S stub.py <child dir>``. Only finds its modules; ``program.py`` does the work.

Isolated mode (-I) and no site (-S) keep it small and deaf to the environment, so the directory that holds the
package is added here, behind the standard library.
"""

import sys

sys.path.append(__file__.rsplit("/", 3)[0])

from taxiway.stub.program import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
