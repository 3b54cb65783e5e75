freeze(".", "_boot.py")
