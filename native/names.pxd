cdef str normal(str text)            # in NFC
# Texts in NFC, never None; None comes back where a text is no such name.
cdef str host_of(str text)
cdef str email_of(str text)
cdef str url_host_of(str text)
cdef str folder_of(object folder)    # from which relative paths start
cdef str path_of(str text, str base) # a relative one from `base`, which `folder_of` returned
cdef object ip_of(str text)          # (4 or 6, number)
